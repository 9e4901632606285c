import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { errorText } from './durable.js';
import { openFilesBefore, setOpenFiles } from './open-files.js';

/** A limit as /proc/self/limits names it: `Max open files`; `unlimited` or a number, as text. */
export interface ResourceLimit {
  readonly name: string;
  readonly soft: string;
  readonly hard: string;
}

/** The limits of a process by the text of its /proc/PID/limits. */
export function parseLimits(text: string): ResourceLimit[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(Max \S+(?: \S+)*) {2,}(\S+) +(\S+)/.exec(line);
    return match ? [{ name: match[1] ?? '', soft: match[2] ?? '', hard: match[3] ?? '' }] : [];
  });
}

/** Ours, but for the one that Node changed; empty where there is no /proc. */
export const readLimits = (): ResourceLimit[] =>
  ownLimits().map((limit) =>
    limit.name === openFiles && openFilesBefore !== undefined
      ? { ...limit, soft: String(openFilesBefore) }
      : limit,
  );

const openFiles = 'Max open files';

/** What prlimit(1) of util-linux calls each. */
const flags: Readonly<Record<string, string>> = {
  'Max cpu time': 'cpu',
  'Max file size': 'fsize',
  'Max data size': 'data',
  'Max stack size': 'stack',
  'Max core file size': 'core',
  'Max resident set': 'rss',
  'Max processes': 'nproc',
  [openFiles]: 'nofile',
  'Max locked memory': 'memlock',
  'Max address space': 'as',
  'Max file locks': 'locks',
  'Max pending signals': 'sigpending',
  'Max msgqueue size': 'msgqueue',
  'Max nice priority': 'nice',
  'Max realtime priority': 'rtprio',
  'Max realtime timeout': 'rttime',
};

/**
 * Gives this process, and so what it starts, these limits. A hard limit that may not be raised again leaves the soft
 * one as near as it can be.
 * @returns what could not be set, in words
 */
export function restoreLimits(wanted: readonly ResourceLimit[]): readonly string[] {
  const troubles: string[] = [];
  for (const limit of wanted) {
    const now = readLimits().find(({ name }) => name === limit.name);
    const flag = flags[limit.name];
    if (!now || flag === undefined || (now.soft === limit.soft && now.hard === limit.hard)) continue;
    const why = flag === 'nofile' ? restoreOpenFiles(limit, now) : restore(flag, limit);
    if (why === undefined) continue;
    troubles.push(
      `the limit "${limit.name}" was ${limit.soft} (hard ${limit.hard}) when the run was started, ` +
        `and is ${now.soft} (hard ${now.hard}) here: ${why}`,
    );
  }
  return troubles;
}

const restore = (flag: string, { soft, hard }: ResourceLimit): string | undefined =>
  setLimit(`--${flag}=${soft}:${hard}`) && setLimit(`--${flag}=${soft}:`);

/** Our own soft limit stays at the hard one, where Node has put it; the worker's is set as it starts. */
function restoreOpenFiles({ soft, hard }: ResourceLimit, now: ResourceLimit): string | undefined {
  const why = hard === now.hard ? undefined : setLimit(`--nofile=${hard}:${hard}`);
  const most = Number(why === undefined ? hard : now.hard);
  setOpenFiles(Math.min(Number(soft), most));
  return Number(soft) > most ? why : undefined;
}

/** @returns why it could not be set; undefined: it is */
function setLimit(option: string): string | undefined {
  try {
    execFileSync('prlimit', ['--pid', String(process.pid), option], {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 10_000,
    });
    return undefined;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    return said === '' ? `prlimit: ${errorText(error)}` : said;
  }
}

function ownLimits(): ResourceLimit[] {
  try {
    return parseLimits(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    // no /proc here (macOS)
    return [];
  }
}
