import { readlinkSync } from 'node:fs';
import { maskArgv } from '../../util/mask.js';
import { errorCode } from '../../util/os/durable.js';
import { readProcDir, readProcText, type ProcInfo } from '../../util/os/proc.js';
import { syscallName, takesDescriptor } from './syscall-names.js';

/** Children indented under their parents, each with its state and its command, secrets hidden. */
export function processTree(processes: readonly ProcInfo[]): string {
  const pids = new Set(processes.map(({ pid }) => pid));
  const lines: string[] = [];
  const add = (info: ProcInfo, depth: number): void => {
    if (depth > 64 || lines.length > 1000) return;
    lines.push(`${'  '.repeat(depth)}${info.pid} ${info.state} ${commandOf(info)}`);
    for (const child of processes) if (child.ppid === info.pid) add(child, depth + 1);
  };
  for (const info of processes) if (!pids.has(info.ppid)) add(info, 0);
  return lines.join('\n');
}

/** A process's command for people; by its short name alone where asking could make us wait with it (state D). */
export function commandOf({ pid, comm }: ProcInfo): string {
  const stuck = threadStates(pid).includes('D');
  const words = stuck ? [] : (readProcText(`/proc/${pid}/cmdline`)?.split('\0') ?? []);
  const command = maskArgv(words).join(' ').replace(/\s+/g, ' ').trim();
  return command === '' ? `(${comm})` : command.slice(0, 500);
}

/** The letters of a process's threads: R, S, D… */
export const threadStates = (pid: number): readonly string[] =>
  threadsOf(pid).flatMap((thread) => {
    const stat = readProcText(`/proc/${pid}/task/${thread}/stat`);
    return stat === undefined ? [] : stat.charAt(stat.lastIndexOf(')') + 2);
  });

const threadsOf = (pid: number): readonly string[] => readProcDir(`/proc/${pid}/task`).slice(0, maxThreads);

const maxThreads = 256;
/** Of threads that do the same, so many are named. */
const maxNamed = 8;

/**
 * What every thread of a process does as the kernel sees it: state, system call, wchan, and the kernel's stack where
 * that may be read (root). Threads that do the same stand together.
 */
export function threadsText(info: ProcInfo): string {
  const groups = new Map<string, string[]>();
  for (const thread of threadsOf(info.pid)) {
    const does = threadText(info.pid, thread);
    if (does !== undefined) groups.set(does, [...(groups.get(does) ?? []), thread]);
  }
  const told = [...groups].map(([does, threads]) => {
    const more = threads.length > maxNamed ? ` and ${threads.length - maxNamed} more` : '';
    return `  thread ${threads.slice(0, maxNamed).join(', ')}${more} ${does}`;
  });
  return `${info.pid} ${commandOf(info)}\n${told.join('\n')}`;
}

function threadText(pid: number, thread: string): string | undefined {
  const read = reader(pid, thread);
  const status = read('status');
  if (status === undefined) return undefined; // it has ended
  const state = /^State:\s*(.*)$/m.exec(status)?.[1] ?? '?';
  const stack = stackOf(read).map((line) => `\n      ${line}`);
  const call = callOf(pid, read);
  const inCall = call === undefined ? '' : `, in ${call}`;
  return `${read('comm') ?? ''}: ${state}${inCall}, wchan ${read('wchan') ?? '?'}${stack.join('')}`;
}

/** What the main thread of a process waits for, in words: `the system call read on pipe:[1234]`; undefined: not known. */
export function mainThreadWaitsIn({ pid }: ProcInfo): string | undefined {
  const read = reader(pid, String(pid));
  const call = callOf(pid, read);
  if (call !== undefined) return call;
  const wchan = read('wchan') ?? '0';
  const place = wchan === '0' || wchan === '' ? /\] (\w+)/.exec(stackOf(read)[0] ?? '')?.[1] : wchan;
  return place === undefined ? undefined : `the kernel's ${place}`;
}

type Reader = (name: string) => string | undefined;

const reader =
  (pid: number, thread: string): Reader =>
  (name) =>
    readProcText(`/proc/${pid}/task/${thread}/${name}`)?.trim();

const stackOf = (read: Reader): readonly string[] =>
  (read('stack') ?? '').split('\n').filter((line) => line !== '');

/** /proc/PID/syscall: `0 0x3 0x7f…`, `running`, or `-1` and two addresses: waiting, but in no system call. */
function callOf(pid: number, read: Reader): string | undefined {
  const [number, first] = (read('syscall') ?? '').split(' ');
  if (number === 'running') return 'no system call: it computes';
  if (number === undefined || !/^\d+$/.test(number)) return undefined;
  const name = syscallName(Number(number));
  const file = takesDescriptor(name) ? fileOf(pid, Number(first)) : undefined;
  return `the system call ${name}${file === undefined ? '' : ` on ${file}`}`;
}

function fileOf(pid: number, descriptor: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined; // closed meanwhile, or not for us to see
  }
}
