import { hdf5 } from './hdf5.js';
import { json } from './json.js';
import { pickle } from './pickle.js';
import { safetensors } from './safetensors.js';
import { zip } from './zip.js';
import type { Format } from './types.js';

/** Formats by content. JSON comes last: it has no magic, only a first character. */
export const formats: readonly Format[] = [zip, safetensors, hdf5, pickle, json];

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
};

export const formatNamed = (name: string): Format | undefined =>
  formats.find((format) => format.name === name);
