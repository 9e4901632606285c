import fs from 'node:fs/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import type { Clock, StackSummary } from '../../supervisor/ports.js';
import { maskText } from '../../util/mask.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import type { ProcInfo } from '../../util/os/proc.js';
import { writersUnder } from '../../util/os/dir-writers.js';
import type { MainRecord } from './launch-record.js';
import type { Ours } from './ours.js';
import type { Spawner } from './spawn.js';
import { parseFaulthandler, topOf } from './stack-frames.js';
import { mainThreadWaitsIn, processTree, threadsText } from './stacks-proc.js';
import { describePython, pythonOf } from './stacks-python.js';

/** Writes down where an attempt hangs (DESIGN section 5). */
export interface StackDumper {
  /**
   * Appends to the attempt's stacks.txt what every process and thread does, by means that harm none that is only slow:
   * py-spy and /proc. No signal is sent: who has a handler for SIGUSR1 may have registered faulthandler for it, or a save.
   * Takes 15 s at most and never rejects; called again meanwhile, it is the same dump.
   */
  dump(): Promise<void>;
  /** Where the error log ends, bytes: what a signal makes the processes print comes after it. */
  printedTo(): Promise<number>;
  /** Keeps what they printed since, the stacks of Python's faulthandler. Never rejects. */
  keepPrinted(from: number): Promise<void>;
  /** What was found, in short; undefined: nothing was written yet. */
  readonly summary: StackSummary | undefined;
}

export interface StackDumperOptions {
  /** stacks.txt, and the log that the worker's stderr goes to. */
  readonly files: { readonly stacks: string; readonly err: string };
  readonly ours: Ours;
  /** The main process; its session's leader is the shim, of which there is nothing to tell. */
  readonly main: MainRecord;
  readonly spawner: Pick<Spawner, 'run'>;
  readonly clock: Pick<Clock, 'now' | 'mono' | 'after'>;
  /** Real paths. */
  readonly checkpointDirs: readonly string[];
  readonly notice: (text: string) => void;
}

/** What one dump and the whole file may have, bytes. */
const maxDumpBytes = 1024 * 1024;
const maxFileBytes = 16 * maxDumpBytes;
/** What faulthandler prints is kept up to this, bytes. */
const maxPrintedBytes = 256 * 1024;
/** How long reading /proc may take, ms; py-spy has its own bound. */
const kernelMs = 2000;

export function createStackDumper(options: StackDumperOptions): StackDumper {
  const { files, clock, notice } = options;
  let summary: StackSummary | undefined;
  let pending: Promise<void> | undefined;

  /** What knows less than an earlier dump does not take its place. */
  const found = (by: StackSummary['by'], top: string | undefined): void => {
    if (summary?.top !== undefined && worth[by] < worth[summary.by]) return;
    summary = { file: files.stacks, by, ...(top !== undefined && { top }) };
  };
  const guarded = async (act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      notice(`the stacks could not be written to ${files.stacks} (${errorText(error)})`);
    }
  };
  const dump = async (): Promise<void> => {
    const { text, by, top } = await describe(options);
    await append(files.stacks, text);
    found(by, top);
  };

  return {
    dump: () => (pending ??= guarded(dump).finally(() => (pending = undefined))),
    printedTo: async () => (await sizeOf(files.err)) ?? 0,
    keepPrinted: (from) =>
      guarded(async () => {
        const text = maskText(await readFrom(files.err, from, maxPrintedBytes));
        const threads = parseFaulthandler(text);
        if (threads.length === 0) return;
        await append(files.stacks, `${heading(clock.now(), 'printed on SIGABRT')}\n${text}\n`);
        found('faulthandler', topOf([{ pid: 0, depth: 0, threads }]));
      }),
    get summary() {
      return summary;
    },
  };
}

const worth = { proc: 0, faulthandler: 1, 'py-spy': 2 } as const;

async function describe(
  options: StackDumperOptions,
): Promise<Pick<StackSummary, 'by'> & { text: string; top: string | undefined }> {
  const { ours, main, clock, checkpointDirs } = options;
  const processes = ours.scan().filter(({ pid }) => pid !== main.session);
  // before py-spy, which may take seconds
  const kernel = await describeThreads(processes, clock.mono() + kernelMs, clock);
  const first = pythonOf(processes)[0]?.info ?? processes[0];
  const waitsIn = first && mainThreadWaitsIn(first);
  const writers = (await Promise.all(checkpointDirs.map(writersUnder)))
    .flat()
    .filter(({ pid }) => processes.some((info) => info.pid === pid))
    .map((writer) => `${writer.pid} ${writer.path}`);
  const python = await describePython(options, processes);
  const parts = [
    heading(clock.now(), 'processes'),
    processTree(processes),
    '\nopen for writing in the checkpoint folder',
    writers.length > 0 ? writers.slice(0, 100).join('\n') : '(nothing)',
    '\nPython',
    ...python.texts,
    '\nthreads, as the kernel sees them',
    ...kernel,
    '',
  ];
  const text = parts.join('\n');
  const cut = text.length > maxDumpBytes ? `${text.slice(0, maxDumpBytes)}\n… more is left out\n` : text;
  const top = topOf(python.seen);
  return python.seen.length > 0 ? { text: cut, by: 'py-spy', top } : { text: cut, by: 'proc', top: waitsIn };
}

/** The threads of each process, as many as are told in time. */
async function describeThreads(
  processes: readonly ProcInfo[],
  untilMono: number,
  clock: Pick<Clock, 'mono'>,
): Promise<readonly string[]> {
  const texts: string[] = [];
  for (const info of processes) {
    if (clock.mono() > untilMono) return [...texts, '(the time was up: other processes are left out)'];
    texts.push(threadsText(info));
    await breathe();
  }
  return texts;
}

const heading = (at: number, what: string): string => `=== ${new Date(at).toISOString()} ${what}`;

async function append(file: string, text: string): Promise<void> {
  if (((await sizeOf(file)) ?? 0) > maxFileBytes) return;
  await fs.appendFile(file, text, { mode: 0o600 });
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await fs.stat(file)).size;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined; // not there yet, or deleted
    throw error;
  }
}

async function readFrom(file: string, from: number, bytes: number): Promise<string> {
  if ((await sizeOf(file)) === undefined) return '';
  const handle = await fs.open(file, 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    const { bytesRead } = await handle.read(buffer, 0, bytes, from);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
