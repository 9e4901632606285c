import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone } from '../../util/os/dir-walk.js';
import { errorText, files, syncDir, writeFileAtomic } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { inVault } from '../vault.js';
import { intentOf, type Intent } from './intent.js';

/** What has become of a transaction: the ending of its journal's name. */
const endings = { open: '.json', done: '.json.done', undone: '.json.undone' } as const;
export type Phase = keyof typeof endings;

/** Sortable by time, and never the same twice: `20240131T040506789Z-9f86d081`. */
export const newTx = (at: number): string =>
  `${new Date(at).toISOString().replace(/[-:.]/g, '')}-${randomBytes(4).toString('hex')}`;

const journalDir = (vault: string): string => path.join(vault, inVault.journal);
const fileOf = (vault: string, tx: string, phase: Phase): string =>
  path.join(journalDir(vault), `${tx}${endings[phase]}`);

/** The commit point: from here on the rollback goes forward only. */
export const commitIntent = (vault: string, intent: Intent): Promise<void> =>
  writeFileAtomic(fileOf(vault, intent.tx, 'open'), JSON.stringify(intent, undefined, 1));

/** The end of it. Done journals stay: undoing a rollback reads them. Doing it again does nothing. */
export async function closeIntent(vault: string, intent: Intent): Promise<void> {
  const { tx, undoes } = intent;
  if (undoes !== undefined && (await phaseOf(vault, undoes)) === 'done')
    await files.rename(fileOf(vault, undoes, 'done'), fileOf(vault, undoes, 'undone'));
  await files.rename(fileOf(vault, tx, 'open'), fileOf(vault, tx, 'done'));
  await syncDir(journalDir(vault));
}

/** How far a transaction got; undefined: there is none of that name. */
export async function phaseOf(vault: string, tx: string): Promise<Phase | undefined> {
  const names = await namesIn(vault);
  return (Object.keys(endings) as Phase[]).find((phase) => names.includes(`${tx}${endings[phase]}`));
}

/** Rollbacks that were begun and not ended, oldest first. A damaged journal is said and left as it is. */
export async function openIntents(vault: string): Promise<Result<readonly Intent[]>> {
  return allOf(vault, 'open');
}

/** Rollbacks that are done and not reversed, oldest first. */
export async function doneIntents(vault: string): Promise<Result<readonly Intent[]>> {
  return allOf(vault, 'done');
}

async function allOf(vault: string, phase: Phase): Promise<Result<readonly Intent[]>> {
  const intents: Intent[] = [];
  for (const name of await namesIn(vault)) {
    if (name.startsWith('.') || !name.endsWith(endings[phase])) continue;
    const intent = await readIntent(vault, name.slice(0, -endings[phase].length), phase);
    if (!intent.ok) return intent;
    intents.push(intent.value);
  }
  return ok(intents.sort((a, b) => a.at - b.at || (a.tx < b.tx ? -1 : 1)));
}

export async function readIntent(vault: string, tx: string, phase: Phase): Promise<Result<Intent>> {
  const file = fileOf(vault, tx, phase);
  const damaged = (why: string): Result<never> => fail(damage(file, tx, phase, why), exitStatus.internal);
  try {
    const intent = intentOf(JSON.parse(await fs.readFile(file, 'utf8')));
    return intent?.tx === tx ? ok(intent) : damaged('it is no intent of this version');
  } catch (error) {
    return damaged(errorText(error));
  }
}

function damage(file: string, tx: string, phase: Phase, why: string): string {
  if (phase !== 'open') return `the journal of a rollback is damaged: ${file} (${why})`;
  return `the journal of an unfinished rollback is damaged: ${file} (${why}); compare quarantine/${tx} beside it with the checkpoint folder, then rename the journal to ${tx}.json.done`;
}

async function namesIn(vault: string): Promise<readonly string[]> {
  try {
    return (await fs.readdir(journalDir(vault))).sort();
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}
