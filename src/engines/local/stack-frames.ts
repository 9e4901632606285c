import path from 'node:path';

/** A call that a Python thread is in. */
export interface Frame {
  readonly name: string;
  readonly file: string;
  /** From 1; undefined: not known. */
  readonly line?: number;
}

/** The calls that a Python thread is in, the innermost first. */
export interface ThreadStack {
  readonly main: boolean;
  readonly frames: readonly Frame[];
}

/** Reads what `py-spy dump --full-filenames` prints of a process. */
export function parsePySpy(text: string, pid: number): readonly ThreadStack[] {
  const threads: { main: boolean; frames: Frame[] }[] = [];
  for (const line of text.split('\n')) {
    const head = /^Thread (\S+) \([^)]*\)(?:: "(.*)")?$/.exec(line);
    if (head) threads.push({ main: head[1] === String(pid) || head[2] === 'MainThread', frames: [] });
    const frame = /^ {4}(\S.*?) \((.*?)(?::(\d+))?\)$/.exec(line);
    if (frame) threads.at(-1)?.frames.push(frameOf(frame[1], frame[2], frame[3]));
  }
  return threads;
}

/**
 * Reads what Python's faulthandler prints. It names no thread, but prints the main one last, and that alone begins in
 * no function of `threading`.
 */
export function parseFaulthandler(text: string): readonly ThreadStack[] {
  const threads: Frame[][] = [];
  for (const line of text.split('\n')) {
    if (/^(?:(?:Current thread|Thread) 0x\w+.*|Stack) \(most recent call first\):$/.test(line))
      threads.push([]);
    const frame = /^ {2}File "(.*)", line (\d+) in (.+)$/.exec(line);
    if (frame) threads.at(-1)?.push(frameOf(frame[3], frame[1], frame[2]));
  }
  const main = threads.findLast((frames) => frames.length > 0 && frames.at(-1)?.name !== '_bootstrap');
  return threads.map((frames) => ({ main: frames === main, frames }));
}

const frameOf = (name = '?', file = '?', line?: string): Frame => ({
  ...{ name, file },
  ...(line !== undefined && { line: Number(line) }),
});

/** `train_step (train.py line 88)`. */
export const frameWords = ({ name, file, line }: Frame): string =>
  `${name} (${path.basename(file)}${line === undefined ? '' : ` line ${line}`})`;

/** The innermost call of a thread that is the user's code, not Python's or a package's. */
export const userFrame = ({ frames }: ThreadStack): Frame | undefined =>
  frames.find((frame, i) => !isLibrary(frame) && !startsWorker(frame, frames[i - 1]));

/** Packages, Python itself, and the small programs that start one (`/venv/bin/torchrun`). */
const isLibrary = ({ file }: Frame): boolean =>
  /\/(?:site|dist)-packages\/|\/lib(?:64)?\/python\d|\/bin\/[^/.]+$|^<frozen /.test(file);

/** `python -c 'from multiprocessing.spawn import spawn_main; …'` */
const startsWorker = ({ file }: Frame, calls: Frame | undefined): boolean =>
  file === '<string>' && calls !== undefined && /\/multiprocessing\/\w+\.py$/.test(calls.file);

/** Whether a thread only waits for processes that it started: what hangs is one of them. */
const waitsForChildren = ({ frames }: ThreadStack): boolean =>
  frames.some(
    ({ name, file }) =>
      (/multiprocessing\/(?:process|spawn)\.py$/.test(file) && /\bjoin$/.test(name)) ||
      (/\/subprocess\.py$/.test(file) && /\b(?:_?wait|_?communicate)$/.test(name)),
  );

/** A Python process of an attempt, as it was seen. */
export interface PythonProcess {
  readonly pid: number;
  /** How many of the attempt's processes it descends from. */
  readonly depth: number;
  /** Its number among those that train together, where it has one. */
  readonly rank?: string;
  readonly threads: readonly ThreadStack[];
}

/**
 * Where a training hangs, in words: the innermost call of the user's code in the main thread of the outermost process
 * that has any. Of several that train together the one that is elsewhere is named:
 * `rank 3 in load (data.py line 40), 7 others in all_reduce (train.py line 88)`.
 */
export function topOf(processes: readonly PythonProcess[]): string | undefined {
  const seen = processes.flatMap(({ threads, ...process }) => {
    const main = threads.find((thread) => thread.main) ?? threads[0];
    return main ? [{ ...process, main, user: userFrame(main) }] : [];
  });
  const users = outermost(seen.filter(({ user, main }) => user && !waitsForChildren(main)));
  const chosen = users.length > 0 ? users : outermost(seen).slice(0, 1);
  const places = new Map<string, typeof chosen>();
  for (const one of chosen) {
    const frame = one.user ?? one.main.frames[0];
    if (frame) places.set(frameWords(frame), [...(places.get(frameWords(frame)) ?? []), one]);
  }
  const [odd, ...others] = [...places].sort(([, a], [, b]) => a.length - b.length);
  const most = others.at(-1);
  if (!odd || !most) return odd?.[0];
  const more = others.length > 1 ? ', more elsewhere' : '';
  return `${who(odd[1])} in ${odd[0]}, ${who(most[1], 'others')} in ${most[0]}${more}`;
}

const outermost = <T extends { readonly depth: number }>(processes: readonly T[]): readonly T[] => {
  const least = Math.min(...processes.map(({ depth }) => depth));
  return processes.filter(({ depth }) => depth === least);
};

function who(processes: readonly Omit<PythonProcess, 'threads'>[], many = 'processes'): string {
  const [first] = processes;
  if (!first || processes.length > 1) return `${processes.length} ${many}`;
  return first.rank === undefined ? `process ${first.pid}` : `rank ${first.rank}`;
}
