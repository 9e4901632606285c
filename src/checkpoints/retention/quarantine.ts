import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone, stampOf } from '../../util/os/dir-walk.js';
import { files, syncDir } from '../../util/os/durable.js';
import type { Pin } from '../pins.js';
import { readIntent } from '../rollback/journal.js';
import { sameStat } from '../unit.js';
import { inVault } from '../vault.js';
import { bytesOf } from './room.js';
import { discard } from './trash.js';

/** A rollback that is over, with what it moved away. */
export interface Transaction {
  readonly tx: string;
  /** ms since 1970. */
  readonly at: number;
  /** What was rolled back to; undefined: to nothing, or its journal does not say. */
  readonly target?: string;
  /** It holds a checkpoint that is pinned. */
  readonly pinned: boolean;
  readonly bytes: number;
  /** It was reversed, or reverses another: nothing would undo it. */
  readonly undone: boolean;
  readonly journal: string;
}

const journalOf = (vault: string): string => path.join(vault, inVault.journal);
const quarantineOf = (vault: string): string => path.join(vault, inVault.quarantine);

/** What a journal is called once its transaction may be removed: from then on it cannot be undone. */
const pruned = '.pruned';

/** Whether what lies in a quarantine is what a person pinned: by content, as names come again. */
async function holdsPinned(vault: string, tx: string, pins: readonly Pin[]): Promise<boolean> {
  for (const pin of pins) if (await holds(path.join(quarantineOf(vault), tx), pin)) return true;
  return false;
}

async function holds(root: string, { files: list }: Pin): Promise<boolean> {
  for (const file of list) if (!sameStat(file, await stampOf(root, file.path))) return false;
  return list.length > 0;
}

/** Oldest first. One that is under way, or whose journal cannot be read, is not among them: it is left alone. */
export async function transactionsIn(vault: string, pins: readonly Pin[]): Promise<readonly Transaction[]> {
  const found: Transaction[] = [];
  for (const name of await namesIn(journalOf(vault))) {
    const [, tx, end] = /^([^.].*)\.json\.(done|undone)$/.exec(name) ?? [];
    if (tx === undefined) continue;
    const intent = await readIntent(vault, tx, end === 'done' ? 'done' : 'undone');
    if (!intent.ok) continue;
    const { at, target, undoes } = intent.value;
    found.push({
      ...{ tx, at, pinned: await holdsPinned(vault, tx, pins) },
      bytes: await bytesOf(quarantineOf(vault), [tx]),
      undone: end === 'undone' || undoes !== undefined,
      journal: path.join(journalOf(vault), name),
      ...(target !== undefined && { target }),
    });
  }
  return found.sort((a, b) => a.at - b.at);
}

/** Removes a transaction for good. Cut off anywhere, it is whole, or {@link finishRemovals} removes the rest. */
export async function removeTransaction(vault: string, { tx, journal }: Transaction): Promise<void> {
  await files.rename(journal, path.join(journalOf(vault), `${tx}.json${pruned}`));
  await syncDir(journalOf(vault));
  await removeRest(vault, tx);
}

/** Finishes what a cut-off {@link removeTransaction} began. */
export async function finishRemovals(vault: string): Promise<void> {
  for (const name of await namesIn(journalOf(vault)))
    if (name.endsWith(`.json${pruned}`)) await removeRest(vault, name.slice(0, -`.json${pruned}`.length));
}

async function removeRest(vault: string, tx: string): Promise<void> {
  const there = (await namesIn(quarantineOf(vault))).includes(tx);
  if (there) await discard(vault, [path.join(quarantineOf(vault), tx)]);
  await files.unlink(path.join(journalOf(vault), `${tx}.json${pruned}`));
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return (await fs.readdir(dir)).sort();
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}
