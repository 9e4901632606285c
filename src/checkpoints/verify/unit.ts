import path from 'node:path';
import { constants } from 'node:fs';
import { errorCode, files, syncFile } from '../../util/os/durable.js';
import { parseJson } from './json-text.js';
import { verifyFile, type Depth } from './file.js';

export interface UnitVerdict {
  /** What is wrong, naming the file where there are several: `weights.npz: its end record is missing`. */
  readonly damage?: string;
  /** By path relative to the checkpoint folder; empty where only the structure was looked at. */
  readonly digests: ReadonlyMap<string, string>;
  readonly depth: 'deep' | 'structure';
}

export interface UnitFiles {
  /** The checkpoint folder. */
  readonly root: string;
  /** Plain files, relative to the root. */
  readonly files: readonly string[];
  /** The format that each top-level file must have, as its siblings in the series do. */
  readonly expected: ReadonlyMap<string, string>;
}

/**
 * All files of one checkpoint. The first damage ends it.
 * @throws the system's error when a file cannot be read, ENOENT if it vanished
 */
export async function verifyUnit(unit: UnitFiles, depth: Depth): Promise<UnitVerdict> {
  const digests = new Map<string, string>();
  if (unit.files.length === 0) return { damage: 'it holds no file', digests, depth: 'structure' };
  let deep = depth.deep;
  for (const file of unit.files) {
    const verdict = await verifyFile(path.join(unit.root, file), { ...depth, deep }, unit.expected.get(file));
    if (verdict.damage !== undefined)
      return {
        damage: unit.files.length > 1 ? `${file}: ${verdict.damage}` : verdict.damage,
        digests,
        depth: deep ? 'deep' : 'structure',
      };
    if (verdict.digest === undefined) deep = false;
    else digests.set(file, verdict.digest);
  }
  const missing = await missingShard(unit);
  return {
    ...(missing === undefined ? {} : { damage: missing }),
    digests,
    depth: deep ? 'deep' : 'structure',
  };
}

/**
 * Makes a checkpoint survive a power cut: neither torch.save nor safetensors flushes anything.
 * @param folders relative to the root, the files' own and all between
 */
export async function syncUnit(unit: UnitFiles, folders: readonly string[]): Promise<void> {
  for (const file of [...unit.files, ...folders]) {
    try {
      await syncFile(path.join(unit.root, file));
    } catch (error) {
      // a file system that cannot sync (a read-only mount, some FUSE ones) has nothing to flush for us
      if (!['EROFS', 'EINVAL', 'ENOTSUP'].includes(errorCode(error) ?? '')) throw error;
    }
  }
}

const indexName = /\.index\.json$/;
const longestIndex = 16 * 1024 * 1024;

/** A shard index (`model.safetensors.index.json`) names files that must lie beside it. */
async function missingShard(unit: UnitFiles): Promise<string | undefined> {
  const present = new Set(unit.files);
  for (const index of unit.files.filter((file) => indexName.test(file))) {
    const handle = await files.open(path.join(unit.root, index), constants.O_RDONLY);
    try {
      if ((await handle.stat()).size > longestIndex) continue;
      const parsed = parseJson(await handle.readFile('utf8'));
      const map = parsed.ok ? (parsed.value as { weight_map?: unknown } | null)?.weight_map : undefined;
      if (typeof map !== 'object' || map === null) continue;
      for (const shard of new Set(Object.values(map as Record<string, unknown>)))
        if (typeof shard === 'string' && !present.has(path.join(path.dirname(index), shard)))
          return `${index}: its shard ${JSON.stringify(shard.slice(0, 120))} is missing`;
    } finally {
      await handle.close();
    }
  }
  return undefined;
}
