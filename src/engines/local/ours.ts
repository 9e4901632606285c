import { existsSync } from 'node:fs';
import { fileId, hasOpenForWriting } from '../../util/os/proc-fd.js';
import {
  hasProc,
  isDead,
  listProcesses,
  readProcBytes,
  type ProcId,
  type ProcInfo,
} from '../../util/os/proc.js';
import { attemptFiles } from './attempt-files.js';

/** Which processes are an attempt's. */
export interface Ours {
  /**
   * All that live, the shim included. Ours is what has the run's marker in its environment, or the attempt's session,
   * or one of its logs open for writing, or was once seen as a descendant of these. Never this process, its ancestors
   * or pid 1. Without /proc only session and descent are known.
   */
  scan(): readonly ProcInfo[];
}

export interface OursOptions {
  readonly marker: string;
  readonly attemptDir: string;
  /** Its session is the shim's pid. */
  readonly main: ProcId & { readonly session: number };
  /** No process of the attempt started before this (start time of the shim): older ones need no closer look. */
  readonly since: number;
}

/** The variable whose name marks a run's processes; nested runs carry one each. */
export const markerName = (runId: string): string =>
  `TRAINGUARD_MARK_${runId.replace(/[^A-Za-z0-9_]/g, '_')}`;

export function createOurs({ marker, attemptDir, main, since }: OursOptions): Ours {
  const markerEntry = `${marker}=1`;
  const { out, err } = attemptFiles(attemptDir);
  const logs = [out, err].flatMap((file) => (existsSync(file) ? fileId(file) : []));
  const seen = new Map<number, number>(); // pid → start time

  const isOurs = (info: ProcInfo, sessionIsOurs: boolean): boolean => {
    if (seen.get(info.pid) === info.startTime) return true;
    if (info.startTime < since) return false;
    if (sessionIsOurs && info.session === main.session) return true;
    if (!hasProc() || info.ppid === kthreadd) return false;
    return hasEntry(info.pid, markerEntry) || hasOpenForWriting(info.pid, logs);
  };

  return {
    scan() {
      const all = new Map(listProcesses().map((info) => [info.pid, info]));
      const spared = ancestors(all);
      // a session's number is not used again while it has members; led by a later process, it is not ours any more
      const leader = all.get(main.session);
      const sessionIsOurs = leader === undefined || leader.startTime <= main.startTime;
      const candidates = [...all.values()].filter((info) => !isDead(info) && !spared.has(info.pid));
      const found = new Map<number, ProcInfo>();
      for (const info of candidates) if (isOurs(info, sessionIsOurs)) found.set(info.pid, info);
      addDescendants(found, candidates);
      seen.clear();
      for (const info of found.values()) seen.set(info.pid, info.startTime);
      return [...found.values()];
    },
  };
}

const kthreadd = 2;

/** Whether a process was started for the run of this marker. Without /proc that is not known: true. */
export const hasMarker = (pid: number, marker: string): boolean => !hasProc() || hasEntry(pid, `${marker}=1`);

/** Whether a process was started with this entry in its environment (a copy made by fork carries it too). */
function hasEntry(pid: number, entry: string): boolean {
  const environment = readProcBytes(`/proc/${pid}/environ`);
  if (!environment) return false;
  const at = environment.indexOf(entry);
  return at >= 0 && (at === 0 || environment[at - 1] === 0);
}

/** Whom we never touch: ourselves, who started us, and pid 1. */
function ancestors(all: ReadonlyMap<number, ProcInfo>): ReadonlySet<number> {
  const spared = new Set([0, 1]);
  for (let pid = process.pid; !spared.has(pid); pid = all.get(pid)?.ppid ?? 0) spared.add(pid);
  return spared;
}

function addDescendants(found: Map<number, ProcInfo>, candidates: readonly ProcInfo[]): void {
  let before = -1;
  while (found.size > before) {
    before = found.size;
    for (const info of candidates) if (found.has(info.ppid)) found.set(info.pid, info);
  }
}
