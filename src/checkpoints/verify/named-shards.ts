import path from 'node:path';
import { metadataName, shardsNamedIn } from './dcp-metadata.js';
import { parseJson } from './json-text.js';
import { quote } from './quote.js';
import { readWhole } from './read-whole.js';

/**
 * What some files of a checkpoint name beside them: a shard index (`model.safetensors.index.json`), DCP's `.metadata`.
 * @param unit its files, relative to the root
 * @returns the first that is missing, in words
 */
export async function missingShard(unit: {
  readonly root: string;
  readonly files: readonly string[];
}): Promise<string | undefined> {
  const present = new Set(unit.files);
  for (const file of unit.files) {
    const names = namesIn(path.basename(file));
    if (!names) continue;
    const bytes = await readWhole(path.join(unit.root, file));
    for (const shard of bytes ? names(bytes) : [])
      if (!present.has(path.join(path.dirname(file), shard)))
        return `${file}: its shard ${quote(shard)} is missing`;
  }
  return undefined;
}

function namesIn(basename: string): ((bytes: Buffer) => Iterable<string>) | undefined {
  if (basename.endsWith('.index.json')) return shardsOfIndex;
  return basename === metadataName ? shardsNamedIn : undefined;
}

function shardsOfIndex(bytes: Buffer): Iterable<string> {
  const parsed = parseJson(bytes.toString('utf8'));
  const map = parsed.ok ? (parsed.value as { weight_map?: unknown } | null)?.weight_map : undefined;
  if (typeof map !== 'object' || map === null) return [];
  return new Set(Object.values(map as Record<string, unknown>).filter((shard) => typeof shard === 'string'));
}
