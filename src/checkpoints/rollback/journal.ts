import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone } from '../../util/os/dir-walk.js';
import { errorText, files, syncDir, writeFileAtomic } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { inVault } from '../vault.js';

/** One entry of the checkpoint folder that goes into quarantine. */
export interface Move {
  /** The checkpoint it belongs to. */
  readonly id: string;
  /** Its name in the checkpoint folder, and in `quarantine/<tx>/`. */
  readonly name: string;
  readonly inode: string;
}

/** What a rollback will do, written before anything is touched; `<tx>.json`, and `<tx>.json.done` afterwards. */
export interface Intent {
  readonly schemaVersion: 1;
  readonly tx: string;
  /** ms since 1970. */
  readonly at: number;
  readonly dir: string;
  readonly target?: string;
  readonly reason: string;
  /** Newest first. */
  readonly moves: readonly Move[];
  /** Pointers to rewrite and files to restore: no layout has any yet. */
  readonly pointers: readonly never[];
  readonly restores: readonly never[];
}

/** Sortable by time, and never the same twice: `20240131T040506789Z-9f86d081`. */
export const newTx = (at: number): string =>
  `${new Date(at).toISOString().replace(/[-:.]/g, '')}-${randomBytes(4).toString('hex')}`;

const journalDir = (vault: string): string => path.join(vault, inVault.journal);
const intentFile = (vault: string, tx: string): string => path.join(journalDir(vault), `${tx}.json`);

/** The commit point: from here on the rollback goes forward only. */
export const commitIntent = (vault: string, intent: Intent): Promise<void> =>
  writeFileAtomic(intentFile(vault, intent.tx), JSON.stringify(intent, undefined, 1));

/** The end of it. Done journals stay: undoing a rollback reads them. */
export async function closeIntent(vault: string, tx: string): Promise<void> {
  const file = intentFile(vault, tx);
  await files.rename(file, `${file}.done`);
  await syncDir(journalDir(vault));
}

/** Rollbacks that were begun and not ended, oldest first. A damaged journal is said and left as it is. */
export async function openIntents(vault: string): Promise<Result<readonly Intent[]>> {
  const intents: Intent[] = [];
  let names: string[];
  try {
    names = (await fs.readdir(journalDir(vault))).sort();
  } catch (error) {
    if (isGone(error)) return ok([]);
    throw error;
  }
  for (const name of names) {
    if (name.startsWith('.') || !name.endsWith('.json')) continue;
    const file = path.join(journalDir(vault), name);
    const intent = await readIntent(file, name.slice(0, -'.json'.length));
    if (!intent.ok) return intent;
    intents.push(intent.value);
  }
  return ok(intents);
}

async function readIntent(file: string, tx: string): Promise<Result<Intent>> {
  const damaged = (why: string): Result<never> =>
    fail(
      `the journal of an unfinished rollback is damaged: ${file} (${why}); compare quarantine/${tx} beside it with the checkpoint folder, then rename the journal to ${tx}.json.done`,
      exitStatus.internal,
    );
  try {
    const value: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
    return isIntent(value) && value.tx === tx ? ok(value) : damaged('it is no intent of this version');
  } catch (error) {
    return damaged(errorText(error));
  }
}

function isIntent(value: unknown): value is Intent {
  if (typeof value !== 'object' || value === null) return false;
  const { schemaVersion, tx, moves } = value as Record<string, unknown>;
  return schemaVersion === 1 && typeof tx === 'string' && Array.isArray(moves) && moves.every(isMove);
}

/** Names are one path segment: a journal cannot move anything from elsewhere. */
function isMove(value: unknown): value is Move {
  if (typeof value !== 'object' || value === null) return false;
  const { id, name, inode } = value as Record<string, unknown>;
  return (
    typeof id === 'string' &&
    typeof inode === 'string' &&
    typeof name === 'string' &&
    name !== '' &&
    name !== '..' &&
    name !== '.' &&
    !name.includes('/')
  );
}
