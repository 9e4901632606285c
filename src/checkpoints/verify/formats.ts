import path from 'node:path';
import { metadataName } from './dcp-metadata.js';
import { distcp } from './distcp.js';
import { hdf5 } from './hdf5.js';
import { json } from './json.js';
import { pickle } from './pickle.js';
import { safetensors } from './safetensors.js';
import { zip } from './zip.js';
import type { Format } from './types.js';

/** Formats by content. JSON is not among them: it has no magic, only a first character. */
const byContent: readonly Format[] = [zip, safetensors, hdf5, pickle];

/** What a name promises. A file that bears it and begins otherwise is damaged; `any`: only that it is not empty. */
export const promises: Readonly<Record<string, readonly Format[] | 'any'>> = {
  '.npz': [zip],
  '.keras': [zip],
  '.safetensors': [safetensors],
  '.json': [json],
  '.h5': [hdf5],
  '.hdf5': [hdf5],
  '.pt': 'any',
  '.pth': 'any',
  '.ckpt': 'any',
  '.bin': 'any',
  '.distcp': 'any',
  [metadataName]: [pickle],
};

/** @param name without its folder */
export function promisedBy(name: string): readonly Format[] | 'any' | undefined {
  const key = path.extname(name).toLowerCase() || name;
  return Object.hasOwn(promises, key) ? promises[key] : undefined;
}

/** @param head the first bytes of a file, at most 4 KiB of them */
export function formatOf(name: string, head: Buffer, size: number): Format | undefined {
  const found = byContent.find((format) => format.matches(head, size));
  // each of its tensors is an archive of its own
  return found === zip && path.extname(name) === '.distcp' ? distcp : found;
}

export const formatNamed = (name: string): Format | undefined =>
  [...byContent, json].find((format) => format.name === name);
