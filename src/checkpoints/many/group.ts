import fs from 'node:fs/promises';
import path from 'node:path';
import type { RollbackExtra } from '../../supervisor/ports.js';
import { isGone } from '../../util/os/dir-walk.js';
import { errorText, files, sweepTemporaries, syncDir, writeFileAtomic } from '../../util/os/durable.js';
import { makeDirs } from '../../util/os/make-dirs.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';

/** A checkpoint as it was when the rollback was decided: what bears its name later is another. */
export interface Known {
  readonly id: string;
  /** ms since 1970. */
  readonly modifiedAt: number;
  readonly sizeBytes: number;
}

/** What becomes of one folder. */
export interface GroupPart {
  /** A real path. */
  readonly dir: string;
  readonly target?: Known;
  /** Newest first. */
  readonly moves: readonly Known[];
}

/** A rollback of several folders: `groups/<tx>.json` in the first one's vault, then one transaction a folder. */
export interface Group {
  readonly schemaVersion: 1;
  /** Each folder's transaction has the same name. */
  readonly tx: string;
  readonly reason: string;
  /** Whether the folders are rolled back, or that is undone. */
  readonly doing: 'roll-back' | 'undo';
  readonly parts: readonly GroupPart[];
  /** Goes with the first part. */
  readonly extra?: RollbackExtra;
}

const groupsDir = (vault: string): string => path.join(vault, 'groups');
const fileOf = (vault: string, tx: string): string => path.join(groupsDir(vault), `${tx}.json`);
const endings = { 'roll-back': '.done', undo: '.undone' } as const;

/** The commit point: from here on every folder goes forward. */
export async function commitGroup(vault: string, group: Group): Promise<void> {
  const made = await makeDirs(groupsDir(vault), 0o700);
  if (made !== undefined) await syncDir(path.dirname(made));
  await writeFileAtomic(fileOf(vault, group.tx), JSON.stringify(group, undefined, 1));
}

/** Every folder has got there. */
export async function closeGroup(vault: string, { tx, doing }: Group): Promise<void> {
  await files.rename(fileOf(vault, tx), `${fileOf(vault, tx)}${endings[doing]}`);
  await syncDir(groupsDir(vault));
}

/** What was cut off between folders, oldest first. A damaged one is said and left as it is. */
export async function openGroups(vault: string): Promise<Result<readonly Group[]>> {
  const groups: Group[] = [];
  for (const name of await namesIn(vault)) {
    if (name.startsWith('.') || !name.endsWith('.json')) continue;
    const group = await readGroup(path.join(groupsDir(vault), name));
    if (!group.ok) return group;
    groups.push(group.value);
  }
  return ok(groups);
}

/** The newest rollback that was not undone, or the one named. */
export async function lastGroup(vault: string, tx?: string): Promise<Result<Group | undefined>> {
  const names = await namesIn(vault);
  const done = names.filter((name) => name.endsWith(endings['roll-back'])).map((name) => name.slice(0, -'.json.done'.length)); // prettier-ignore
  const last = done.findLast((one) => (tx ?? one) === one && !names.includes(`${one}.json${endings.undo}`));
  return last === undefined ? ok(undefined) : readGroup(`${fileOf(vault, last)}.done`);
}

/** What a killed process left half-written. The vault is ours alone. */
export const sweepGroups = (vault: string): Promise<void> => sweepTemporaries(groupsDir(vault));

async function namesIn(vault: string): Promise<string[]> {
  try {
    return (await fs.readdir(groupsDir(vault))).sort();
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function readGroup(file: string): Promise<Result<Group>> {
  const damaged = (why: string): Result<never> =>
    fail(
      `the journal of a rollback of several folders is damaged: ${file} (${why}); compare the folders with their quarantines, then rename it to ${path.basename(file)}.done`,
      exitStatus.internal,
    );
  try {
    const value: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
    return isGroup(value) ? ok(value) : damaged('it is none of this version');
  } catch (error) {
    return damaged(errorText(error));
  }
}

function isGroup(value: unknown): value is Group {
  if (typeof value !== 'object' || value === null) return false;
  const { schemaVersion, tx, doing, parts } = value as Partial<Record<keyof Group, unknown>>;
  return (
    schemaVersion === 1 &&
    typeof tx === 'string' &&
    (doing === 'roll-back' || doing === 'undo') &&
    Array.isArray(parts) &&
    parts.every(
      (part: Partial<GroupPart> | null) => typeof part?.dir === 'string' && Array.isArray(part.moves),
    )
  );
}
