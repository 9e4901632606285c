import fs from 'node:fs/promises';
import path from 'node:path';
import { matching } from '../checkpoints/many/glob.js';
import type { Clock } from '../supervisor/ports.js';
import { errorCode } from '../util/os/durable.js';

/** How often the files are looked at, ms; a file server that is slow is asked less often. */
const pollEveryMs = 5_000;
const costFactor = 50;
/** Bounds on one look: files, and folders below one that was named. */
const mostFiles = 1_000;
const deepest = 4;

/**
 * Looks whether files that stand for progress grow: TensorBoard's, wandb's (`heartbeat.files`). Of a folder all files in
 * it count. What was there at first is no growth.
 * @param patterns absolute, globs among them
 * @param grew called for each look that finds a file new, longer or written to
 * @returns ends it
 */
export function watchHeartbeatFiles(patterns: readonly string[], clock: Clock, grew: () => void): () => void {
  let over = false;
  let known: ReadonlyMap<string, string> | undefined;
  let cancel = (): void => undefined;

  async function look(): Promise<void> {
    const begun = clock.mono();
    const now = await filesOf(patterns);
    if (over) return;
    const before = known;
    known = now;
    if (before && [...now].some(([file, mark]) => before.get(file) !== mark)) grew();
    cancel = clock.after(Math.max(pollEveryMs, costFactor * (clock.mono() - begun)), next);
  }

  function next(): void {
    // what is expected of a disk is no bug: whatever is left is one, and ends the process as such
    void look();
  }

  next();
  return () => {
    over = true;
    cancel();
  };
}

/** Size and time of each file. What cannot be read is not there. */
async function filesOf(patterns: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const marks = new Map<string, string>();
  for (const pattern of patterns) {
    for (const found of await matching(pattern, false)) await note(found, deepest, marks);
  }
  return marks;
}

async function note(file: string, depth: number, marks: Map<string, string>): Promise<void> {
  if (marks.size >= mostFiles) return;
  try {
    // a link below a named folder may lead round in a circle; one that was named itself is followed
    const stat = await (depth === deepest ? fs.stat(file) : fs.lstat(file));
    if (stat.isFile()) marks.set(file, `${stat.size} ${stat.mtimeMs}`);
    if (!stat.isDirectory() || depth === 0) return;
    for (const name of await fs.readdir(file)) await note(path.join(file, name), depth - 1, marks);
  } catch (error) {
    // it went meanwhile, or its server is away: then nothing grows
    if (errorCode(error) === undefined) throw error;
  }
}
