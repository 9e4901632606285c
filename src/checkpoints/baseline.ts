import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone, type Stamp } from '../util/os/dir-walk.js';
import { errorText, writeFileAtomic } from '../util/os/durable.js';
import type { Scan } from './scan.js';
import { sameStat, type FileStat, type Unit } from './unit.js';

/** What lay in the folder when the run first opened it; everything else was written while it was alive. */
export interface Baseline {
  readonly schemaVersion: 1;
  readonly runId: string;
  /** ms since 1970. */
  readonly at: number;
  readonly entries: readonly FileStat[];
}

const fileOf = (vault: string, runId: string): string =>
  path.join(vault, `baseline-${encodeURIComponent(runId).slice(0, 120)}.json`);

export async function readBaseline(
  vault: string,
  runId: string,
  notice: (text: string) => void,
): Promise<Baseline | undefined> {
  const file = fileOf(vault, runId);
  try {
    const value = JSON.parse(await fs.readFile(file, 'utf8')) as Partial<Baseline> | null;
    if (value?.schemaVersion === 1 && value.runId === runId && Array.isArray(value.entries))
      return value as Baseline;
    notice(`${file} is damaged: what lies in the checkpoint folder counts by its time`);
  } catch (error) {
    if (!isGone(error)) notice(`${file} cannot be read (${errorText(error)})`);
  }
  return undefined;
}

export async function writeBaseline(vault: string, runId: string, at: number, scan: Scan): Promise<Baseline> {
  const stamps = new Map(scan.entries.map((entry) => [entry.path, entry] as const));
  for (const unit of scan.units) for (const file of unit.files) stamps.set(file.path, file);
  const entries = [...stamps.values()].map(({ path: name, size, mtimeNs, inode }: Stamp): FileStat => ({
    path: name,
    size,
    mtimeNs,
    inode,
  }));
  const baseline: Baseline = { schemaVersion: 1, runId, at, entries };
  await writeFileAtomic(fileOf(vault, runId), JSON.stringify(baseline));
  return baseline;
}

/** Tells what the run's attempts wrote from what was there before. */
export class Origin {
  readonly #before: ReadonlyMap<string, FileStat> | undefined;
  readonly #startedAt: number;

  /** @param startedAt ms since 1970; holds where there is no baseline */
  constructor(baseline: Baseline | undefined, startedAt: number) {
    this.#before = baseline && new Map(baseline.entries.map((entry) => [entry.path, entry]));
    this.#startedAt = startedAt;
  }

  isOurs(unit: Unit): boolean {
    const before = this.#before;
    // an empty folder has only its own entry to go by
    const stamps = unit.files.length > 0 ? unit.files : unit.members;
    if (!before) return stamps.some((stamp) => stamp.mtimeMs >= this.#startedAt);
    return stamps.some((stamp) => !sameStat(stamp, before.get(stamp.path)));
  }
}
