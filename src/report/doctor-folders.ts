import { formatBytes, formatCount, plural } from '../util/text.js';
import { type Check, fails, fine, warn } from './doctor-check.js';

/** What was found of a folder that a run writes to. */
export interface FolderFacts {
  /** `state folder`, `checkpoint folder`. */
  readonly what: string;
  readonly dir: string;
  /** The nearest folder above it that is there; the folder itself if it is. */
  readonly there: string;
  /** Why nothing can be written there; undefined: something was. */
  readonly problem?: string;
  readonly fileSystem: { readonly name: string; readonly kind: 'local' | 'network' | 'memory' };
  readonly freeBytes: number;
  /** undefined: this file system does not count them. */
  readonly freeInodes?: number;
  /** Whether holes can be punched into logs; undefined: not asked. */
  readonly punchesHoles?: boolean;
  /** What quota(1) says is over its bound. */
  readonly overQuota?: string;
}

/** A run wants so much for its own records and logs; under it logs are dropped to keep training alive. */
const leastStateBytes = 256 * 1024 * 1024;
const leastInodes = 1000;
/** Room for fewer checkpoints than this is worth a word. */
const fewCheckpoints = 3;

/**
 * Whether a folder will hold what is written to it. Pure.
 * @param saveBytes what the next checkpoint needs besides those that are there; undefined: not known
 */
export function judgeFolder(facts: FolderFacts, saveBytes?: number): readonly Check[] {
  const { what, dir, there, problem, fileSystem } = facts;
  if (problem !== undefined) {
    const full = /space|quota/.test(problem);
    const way = full
      ? 'free some space, or name another folder'
      : `make ${there} writable, or name another folder`;
    return [fails(what, `${dir} cannot be written (${problem})`, way)];
  }
  const made = there === dir ? '' : ', to be made';
  const free = `${formatBytes(facts.freeBytes)} free on ${fileSystem.name}`;
  const room = roomOf(facts, free, saveBytes);
  const own = fine(what, `${dir}${made}: can be written, ${free}${roomWords(facts, saveBytes)}`);
  return [...(room.length > 0 ? room : [own]), ...placeOf(facts), ...holesOf(facts)];
}

function roomOf(facts: FolderFacts, free: string, saveBytes: number | undefined): readonly Check[] {
  const { what, dir, freeBytes, freeInodes, overQuota } = facts;
  const found: Check[] = [];
  const way = 'free some space, keep fewer checkpoints, or name a folder on another disk';
  if (saveBytes !== undefined && freeBytes < saveBytes)
    found.push(fails(what, `${dir}: ${free}, but a checkpoint takes ${formatBytes(saveBytes)}: the next save would fail`, way)); // prettier-ignore
  else if (saveBytes !== undefined && freeBytes < fewCheckpoints * saveBytes)
    found.push(warn(what, `${dir}: ${free}, room for ${plural(Math.floor(freeBytes / saveBytes), 'more checkpoint')} of ${formatBytes(saveBytes)}`, way)); // prettier-ignore
  else if (freeBytes === 0) found.push(fails(what, `${dir}: the disk is full (${free})`, way));
  else if (saveBytes === undefined && freeBytes < leastStateBytes)
    found.push(warn(what, `${dir}: only ${free}`, way));
  if (freeInodes === 0) found.push(fails(what, `${dir}: no file can be made, the file system has no inode left`, 'remove many small files (df -i)')); // prettier-ignore
  else if (freeInodes !== undefined && freeInodes < leastInodes) found.push(warn(what, `${dir}: ${formatCount(freeInodes)} inodes are left`, 'remove many small files (df -i)')); // prettier-ignore
  if (overQuota !== undefined) found.push(warn(what, `${dir}: over a quota (${overQuota})`, 'see "quota -s", and free some space')); // prettier-ignore
  return found;
}

const roomWords = ({ freeBytes }: FolderFacts, saveBytes: number | undefined): string =>
  saveBytes === undefined || saveBytes === 0
    ? ''
    : `, room for ${formatCount(Math.floor(freeBytes / saveBytes))} more checkpoints of ${formatBytes(saveBytes)}`;

function placeOf({ what, dir, fileSystem }: FolderFacts): readonly Check[] {
  if (fileSystem.kind === 'memory')
    return [
      warn(what, `${dir} lies in memory (${fileSystem.name}): a reboot takes it away`, 'name a folder on a disk'),
    ]; // prettier-ignore
  if (fileSystem.kind === 'network')
    return [
      fine(
        what,
        `${dir} lies on a network file system (${fileSystem.name}): a checkpoint counts once it was left alone for 90 s`,
      ),
    ];
  return [];
}

const holesOf = ({ what, dir, punchesHoles }: FolderFacts): readonly Check[] =>
  punchesHoles === false
    ? [
        warn(
          what,
          `${dir}: no holes can be punched into files there, so a run's logs are bounded by attempts only`,
          'name a --state-dir on ext4, xfs, btrfs or tmpfs; fallocate (util-linux) must be in PATH',
        ),
      ]
    : [];

/** Who has what a run would want for itself alone. */
export interface LockFacts {
  /** The name that the run would have. */
  readonly run?: string;
  /** Who has it, in words, and how it is ended. */
  readonly held: readonly { readonly what: string; readonly by: string; readonly way: string }[];
  /** A lock was really taken and given back; else why not. */
  readonly problem?: string;
  /** What is said of a lock that stands but that others cannot see. */
  readonly trouble?: string;
}

/** Whether a run could have its folders for itself. Pure. */
export function judgeLocks({ run, held, problem, trouble }: LockFacts): readonly Check[] {
  const checks = held.map(({ what, by, way }) => fails('lock', `${what} is in use by ${by}`, way));
  if (problem !== undefined) checks.push(fails('lock', problem));
  if (trouble !== undefined) checks.push(warn('lock', trouble));
  if (checks.length > 0) return checks;
  return [fine('lock', run === undefined ? 'free' : `free: the run would be named ${run}`)];
}
