import path from 'node:path';
import { errorCode, syncFile } from '../../util/os/durable.js';
import type { Depth } from './file.js';
import { verifyInThread } from './thread.js';
import type { NonFinite } from './types.js';

export interface UnitVerdict {
  /** What is wrong, naming the file where there are several: `weights.npz: its end record is missing`. */
  readonly damage?: string;
  /** By path relative to the checkpoint folder; empty where only the structure was looked at. */
  readonly digests: ReadonlyMap<string, string>;
  /** `structure` too if the look was broken off. */
  readonly depth: 'deep' | 'structure';
  /** Tensors, as a sentence names them: `"norm.weight" of model.safetensors`. */
  readonly nonFinite: NonFinite;
  /** What nobody can tell of it from outside, in words, naming the file where there are several. */
  readonly unproven?: string;
}

export interface UnitFiles {
  /** The checkpoint folder. */
  readonly root: string;
  /** Plain files, relative to the root. */
  readonly files: readonly string[];
  /** The format that each top-level file must have, as its siblings in the series do. */
  readonly expected: ReadonlyMap<string, string>;
  /** Of all files; undefined: not known, so they may be large. */
  readonly bytes?: number;
}

/** What is smaller is read in less time than a thread takes to start, and its JSON parsed without being felt. */
const threadFromBytes = 8 * 1024 * 1024;

/**
 * All files of one checkpoint, without holding up the event loop: large ones in a thread of their own. The first
 * damage ends it. Nothing is ever unpickled.
 * @throws the system's error when a file cannot be read, ENOENT if it vanished
 */
export async function verifyUnit(unit: UnitFiles, depth: Depth): Promise<UnitVerdict> {
  const large = unit.bytes === undefined || unit.bytes >= threadFromBytes;
  const verdict = large ? await verifyInThread(unit, depth) : undefined;
  if (verdict) return verdict;
  // loads the hash library, which a supervisor of large checkpoints never needs
  const { lookAtUnit } = await import('./look.js');
  return lookAtUnit(unit, depth);
}

/**
 * Makes a checkpoint survive a power cut: neither torch.save nor safetensors flushes anything.
 * @param folders relative to the root, the files' own and all between
 * @returns whether all of it was flushed
 */
export async function syncUnit(unit: UnitFiles, folders: readonly string[]): Promise<boolean> {
  let synced = true;
  for (const file of [...unit.files, ...folders]) {
    try {
      await syncFile(path.join(unit.root, file));
    } catch (error) {
      // a file system that cannot sync (a read-only mount, some FUSE ones) has nothing to flush for us
      if (!['EROFS', 'EINVAL', 'ENOTSUP'].includes(errorCode(error) ?? '')) throw error;
      synced = false;
    }
  }
  return synced;
}
