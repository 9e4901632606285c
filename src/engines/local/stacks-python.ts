import type { Clock } from '../../supervisor/ports.js';
import { readProcText, type ProcInfo } from '../../util/os/proc.js';
import type { Spawner } from './spawn.js';
import type { PythonProcess } from './stack-frames.js';
import { commandOf } from './stacks-proc.js';
import { findPySpy, isPython, pySpyDump } from './stacks-pyspy.js';

/** A Python process, and how many of the attempt's processes it descends from. */
interface Descended {
  readonly info: ProcInfo;
  readonly depth: number;
}

/** Those of the processes that run Python, the outermost first. */
export function pythonOf(processes: readonly ProcInfo[]): readonly Descended[] {
  const byPid = new Map(processes.map((info) => [info.pid, info]));
  const depthOf = (info: ProcInfo): number => {
    let depth = 0;
    for (let at = byPid.get(info.ppid); at && depth < 64; at = byPid.get(at.ppid)) depth++;
    return depth;
  };
  return processes
    .filter(isPython)
    .map((info) => ({ info, depth: depthOf(info) }))
    .sort((a, b) => a.depth - b.depth);
}

/** How long py-spy may take for all processes, and for one of them: libraries of 2 GB take it a second, ms. */
const allMs = 12_000;
const oneMs = 5_000;
const atOnce = 4;

/** What py-spy says of each Python process, the outermost first; what it has not said in time is left out. */
export async function describePython(
  {
    spawner,
    clock,
  }: { readonly spawner: Pick<Spawner, 'run'>; readonly clock: Pick<Clock, 'mono' | 'after'> },
  processes: readonly ProcInfo[],
): Promise<{ readonly texts: readonly string[]; readonly seen: readonly PythonProcess[] }> {
  const todo = [...pythonOf(processes)];
  const [first] = todo;
  if (!first) return { texts: ['(no process runs it)'], seen: [] };
  const program = findPySpy(first.info);
  if (program === undefined)
    return { texts: ['(no py-spy was found: `pip install py-spy` makes this show each line)'], seen: [] };
  const texts = [`by ${program}`];
  const seen: PythonProcess[] = [];
  const untilMono = clock.mono() + allMs;
  const lookAtNext = async (): Promise<void> => {
    for (let one = todo.shift(); one && clock.mono() < untilMono; one = todo.shift()) {
      const { info, depth } = one;
      const rank = rankOf(info.pid);
      const limitMs = Math.min(oneMs, untilMono - clock.mono());
      const { text, threads } = await pySpyDump(spawner, program, info, limitMs);
      texts.push(`${info.pid} ${rank === undefined ? '' : `rank ${rank} `}${commandOf(info)}\n${text}`);
      if (threads.length > 0)
        seen.push({ pid: info.pid, depth, threads, ...(rank !== undefined && { rank }) });
    }
  };
  let cancel = (): void => undefined;
  const timeIsUp = new Promise<boolean>((resolve) => (cancel = clock.after(allMs, () => resolve(true))));
  const all = Promise.all(Array.from({ length: atOnce }, lookAtNext));
  const late = await Promise.race([timeIsUp, all.then(() => todo.length > 0)]);
  cancel();
  return {
    texts: [...texts, ...(late ? ['(the time was up: other processes are left out)'] : [])],
    seen: [...seen],
  };
}

/** What torchrun and its like call a process that trains with others. */
const rankOf = (pid: number): string | undefined =>
  /(?:^|\0)RANK=(\d{1,6})\0/.exec(readProcText(`/proc/${pid}/environ`) ?? '')?.[1];
