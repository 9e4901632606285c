import { accessSync, constants, readlinkSync, statSync } from 'node:fs';
import path from 'node:path';
import { maskText } from '../../util/mask.js';
import { errorCode } from '../../util/os/durable.js';
import { readProcText, type ProcInfo } from '../../util/os/proc.js';
import { sendSignal } from '../../util/os/signals.js';
import type { Spawner } from './spawn.js';
import { parsePySpy, type ThreadStack } from './stack-frames.js';
import { threadStates } from './stacks-proc.js';

/** What py-spy said of one process: its threads, or why there are none. */
export interface PySpied {
  readonly text: string;
  readonly threads: readonly ThreadStack[];
}

/** Whether a process runs Python, by the program that it is. */
export const isPython = ({ pid }: ProcInfo): boolean => /^python/.test(path.basename(programOf(pid) ?? ''));

/**
 * Finds py-spy for a Python process: in its environment, beside its interpreter, on its PATH, or on ours. Only one that is ours or root's,
 * since it runs with our rights.
 */
export function findPySpy({ pid }: ProcInfo): string | undefined {
  const environment = readProcText(`/proc/${pid}/environ`)?.split('\0') ?? [];
  const variable = (name: string): string | undefined =>
    environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  const venv = variable('VIRTUAL_ENV') ?? variable('CONDA_PREFIX');
  const called = readProcText(`/proc/${pid}/cmdline`)?.split('\0')[0] ?? '';
  const dirs = [
    ...(venv === undefined ? [] : [path.join(venv, 'bin')]),
    ...(called.includes('/')
      ? [path.dirname(path.resolve(linkTarget(`/proc/${pid}/cwd`) ?? '/', called))]
      : []),
    path.dirname(programOf(pid) ?? '/'),
    ...(variable('PATH') ?? '').split(':'),
    ...(process.env['PATH'] ?? '').split(':'),
  ];
  return dirs
    .filter((dir) => path.isAbsolute(dir))
    .map((dir) => path.join(dir, 'py-spy'))
    .find(mayBeRun);
}

/**
 * Has py-spy look at one process, which it pauses for some milliseconds. One whose threads cannot be paused (state D
 * or T) is read as it stands: py-spy would wait for it, and leave it stopped when it is ended.
 * @param limitMs for one try; there are two at most
 */
export async function pySpyDump(
  spawner: Pick<Spawner, 'run'>,
  program: string,
  info: ProcInfo,
  limitMs: number,
): Promise<PySpied> {
  const dump = async (...options: string[]): Promise<PySpied & { readonly why?: string }> => {
    const args = ['dump', '--full-filenames', ...options, '--pid', String(info.pid)];
    const { stdout, why } = await spawner.run(program, args, limitMs);
    const threads = parsePySpy(stdout, info.pid);
    // what stands before the threads is the command line, unmasked
    if (threads.length > 0) return { text: maskText(stdout.slice(stdout.search(/^Thread /m))), threads };
    return { text: `py-spy could not look at it: ${explained(why)}`, threads, why };
  };
  const canPause = threadStates(info.pid).every((state) => 'RSI'.includes(state));
  const paused = canPause ? await dump() : undefined;
  if (paused?.why === undefined) return paused ?? (await dump('--nonblocking'));
  // ended before it let go, it may have left the process stopped
  sendSignal(info, 'SIGCONT');
  return isRefusal(paused.why) ? paused : await dump('--nonblocking');
}

const isRefusal = (why: string): boolean => /permission denied|not permitted/i.test(why);

function explained(why: string): string {
  if (isRefusal(why))
    return 'the system does not let it (Yama: `sysctl kernel.yama.ptrace_scope=0` as root lets every process look at its user’s others; in a container: --cap-add=SYS_PTRACE)';
  const [, error = why.split('\n', 1)[0] ?? ''] = /^Error: (.*)/m.exec(why) ?? [];
  const cause = /^Caused by:\n\s+0: (.*)/m.exec(why)?.[1];
  return maskText(cause === undefined ? error : `${error}: ${cause}`).slice(0, 500);
}

function mayBeRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    const { uid } = statSync(file);
    return uid === 0 || uid === process.geteuid?.();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false; // not there, or not for us
  }
}

const programOf = (pid: number): string | undefined =>
  linkTarget(`/proc/${pid}/exe`)?.replace(/ \(deleted\)$/, '');

function linkTarget(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined; // gone, or somebody else's
  }
}
