import { constants } from 'node:fs';
import path from 'node:path';
import { files } from '../util/os/durable.js';
import type { Layout } from './layouts/layout.js';
import { isClosed, isNoFile } from './layouts/peek.js';
import type { Unit } from './unit.js';
import { parseJson } from './verify/json-text.js';

/** A trainer_state.json keeps the whole loss history: some MiB after a long run. */
const longestRead = 32 * 1024 * 1024;

/** The step that the layout's own file records (Hugging Face: `global_step` in trainer_state.json). */
export async function recordedStep(root: string, layout: Layout, unit: Unit): Promise<number | undefined> {
  const main = unit.members[0];
  if (!layout.stepIn || main?.kind !== 'folder') return undefined;
  const value = (await readObject(path.join(root, main.path, layout.stepIn.file)))?.[layout.stepIn.key];
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/**
 * The checkpoint that the framework itself records as its best: Hugging Face's `best_model_checkpoint`, by the newest
 * trainer_state.json that names one.
 * @param ids oldest first
 * @returns its id
 */
export async function recordedBest(root: string, ids: readonly string[]): Promise<string | undefined> {
  for (const id of [...ids].reverse()) {
    const best = (await readObject(path.join(root, id, 'trainer_state.json')))?.['best_model_checkpoint'];
    if (typeof best === 'string' && best !== '') return path.basename(best);
  }
  return undefined;
}

async function readObject(file: string): Promise<Record<string, unknown> | undefined> {
  try {
    const handle = await files.open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      if ((await handle.stat()).size > longestRead) return undefined;
      const parsed = parseJson(await handle.readFile('utf8'));
      return parsed.ok && typeof parsed.value === 'object' && parsed.value !== null
        ? (parsed.value as Record<string, unknown>)
        : undefined;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isClosed(error) || isNoFile(error)) return undefined;
    throw error;
  }
}
