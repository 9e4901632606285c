import type { Stamp } from '../../util/os/dir-walk.js';

/** Something that leaves its place and goes into quarantine. */
export interface Move {
  /** The checkpoint it belongs to; of anything else its path. */
  readonly id: string;
  /** Its name in the checkpoint folder, and in `quarantine/<tx>/`; of what lay elsewhere the latter only. */
  readonly name: string;
  readonly inode: string;
  /** Absolute, of what does not lie in the checkpoint folder. */
  readonly path?: string;
}

/** Something that takes a place, whose holder goes into quarantine. */
export interface Put {
  /** The checkpoint that is put back; of anything else its name. */
  readonly id: string;
  readonly name: string;
  readonly path?: string;
  /** Where it waits, relative to the vault. Gone from there, it has been put. */
  readonly from: string;
  readonly staged: Print;
  /** What held the place when the rollback was decided. */
  readonly old?: Print;
  /** The id of the checkpoint that thereby loses its place. */
  readonly takes?: string;
  readonly why: 'restore' | 'pointer' | 'include' | 'undo';
  /** What becomes of it, for people; undefined: a checkpoint is put back, which its id says. */
  readonly words?: string;
}

/** By what an entry is recognised later on, though it may have been written to since. */
export interface Print {
  readonly kind: Stamp['kind'];
  readonly inode: string;
  /** Bytes; of a folder meaningless. */
  readonly size: number;
  readonly mtimeNs: string;
}

/** What a rollback will do, written before anything is touched; `<tx>.json`, and `<tx>.json.done` afterwards. */
export interface Intent {
  readonly schemaVersion: 2;
  readonly tx: string;
  /** ms since 1970. */
  readonly at: number;
  readonly dir: string;
  readonly target?: string;
  readonly reason: string;
  /** The transaction that this one reverses. */
  readonly undoes?: string;
  /** In this order, and before the moves: whatever relaunches meanwhile resumes from the target. */
  readonly puts: readonly Put[];
  /** Newest first, so that what is left is at every instant a prefix of what there was. */
  readonly moves: readonly Move[];
}

export const printOf = ({ kind, inode, size, mtimeNs }: Stamp): Print => ({ kind, inode, size, mtimeNs });

/** Where in `quarantine/<tx>/` and `stage/<tx>/` lies what does not belong to the checkpoint folder. */
export const outside = '.outside';

/** A journal as it was parsed; those of schema 1 only had moves. */
export function intentOf(value: unknown): Intent | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const old = value as Record<string, unknown>;
  const intent = old['schemaVersion'] === 1 ? { ...old, schemaVersion: 2, puts: [] } : old;
  return isIntent(intent) ? intent : undefined;
}

function isIntent(value: unknown): value is Intent {
  const { schemaVersion, tx, at, puts, moves } = value as Record<string, unknown>;
  return (
    schemaVersion === 2 &&
    isSegment(tx) &&
    typeof at === 'number' &&
    Array.isArray(puts) &&
    puts.every(isPut) &&
    Array.isArray(moves) &&
    moves.every(isMove)
  );
}

function isPut(value: unknown): value is Put {
  if (!isPlaced(value)) return false;
  const { from, staged, old, why } = value as unknown as Record<string, unknown>;
  return isInside(from) && isPrint(staged) && (old === undefined || isPrint(old)) && typeof why === 'string';
}

const isMove = (value: unknown): value is Move =>
  isPlaced(value) && typeof (value as unknown as Record<string, unknown>)['inode'] === 'string';

function isPlaced(value: unknown): value is { id: string; name: string; path?: string } {
  if (typeof value !== 'object' || value === null) return false;
  const { id, name, path } = value as Record<string, unknown>;
  if (typeof id !== 'string') return false;
  if (path === undefined) return isSegment(name) && name !== outside;
  return typeof path === 'string' && path.startsWith('/') && isInside(name) && name.startsWith(`${outside}/`);
}

function isPrint(value: unknown): value is Print {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, inode, size, mtimeNs } = value as Record<string, unknown>;
  return (
    typeof kind === 'string' &&
    typeof inode === 'string' &&
    typeof size === 'number' &&
    typeof mtimeNs === 'string'
  );
}

/** A damaged or forged journal cannot reach beyond the folder and the vault by a name. */
export const isSegment = (name: unknown): name is string =>
  typeof name === 'string' && name !== '' && name !== '..' && name !== '.' && !name.includes('/');

const isInside = (name: unknown): name is string =>
  typeof name === 'string' && name.split('/').every(isSegment);
