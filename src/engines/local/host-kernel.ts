import { closeSync, constants, openSync, readSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { errorCode } from '../../util/os/durable.js';

/** A line of the kernel's log. */
export interface KernelLine {
  /** Monotonic ms of this boot. */
  readonly mono: number;
  readonly text: string;
}

/** Whose kernel lines are looked for. */
export interface KernelQuestion {
  /** Lines before it are of another attempt, monotonic ms of this boot. */
  readonly sinceMono: number;
  /** Every process that the attempt was seen to have. */
  readonly pids: ReadonlySet<number>;
  /** Whether a process that a line names is somebody else's. */
  readonly isStranger: (pid: number) => boolean;
}

/**
 * What the kernel says of an attempt, the oldest first: memory kills of its processes, GPU errors, disks that fail.
 * undefined: its log may not be read here.
 */
export async function kernelLinesOf(
  question: KernelQuestion,
  file = '/dev/kmsg',
): Promise<readonly string[] | undefined> {
  const lines = await readKernelLog(file);
  return lines
    ?.filter(({ mono, text }) => mono >= question.sinceMono - clockDriftMs && concerns(text, question))
    .map(({ text }) => text.slice(0, maxLineLength))
    .slice(-maxLines);
}

const maxLines = 50;
const maxLineLength = 500;
/** The kernel stamps its lines by another clock than the monotonic one, which is kept in step with the time of day, ms. */
const clockDriftMs = 2000;

/** Whether a line says something of the attempt; exported for its table of samples. */
export function concerns(text: string, { pids, isStranger }: Omit<KernelQuestion, 'sinceMono'>): boolean {
  const killed =
    /\bKilled process (\d+) \(/i.exec(text)?.[1] ?? /^oom-kill:.*[, ]pid=(\d+)\b/.exec(text)?.[1];
  if (killed !== undefined) return pids.has(Number(killed));
  if (/\bNVRM: Xid\b/.test(text)) {
    const pid = /\bpid=(\d+)/.exec(text)?.[1];
    return pid === undefined || pids.has(Number(pid)) || !isStranger(Number(pid));
  }
  // an empty drive is no disk that fails
  if (/\bdev (?:sr|fd|loop)\d/.test(text)) return false;
  return diskFails.test(text);
}

const diskFails =
  /\bI\/O error\b|\bcritical (?:medium|target) error\b|\bEXT4-fs error\b|\bBTRFS: error\b|\bXFS \(.*\): .*(?:[Cc]orruption|[Ss]hutdown|error)|\bnfs: server \S+ not responding\b|\bnvme\d*\b.*\btimeout\b/;

/** One record of /dev/kmsg: `6,1234,56789012,-;text`, the third being microseconds; lines of its own may follow. */
export function parseKmsg(record: string): KernelLine | undefined {
  const match = /^\d+,\d+,(\d+),[^;]*;(.*)/.exec(record);
  return match ? { mono: Number(match[1]) / 1000, text: match[2] ?? '' } : undefined;
}

/** The kernel's whole log, the oldest line first: at most what its ring buffer has, 16 MiB on big machines. */
async function readKernelLog(file: string): Promise<readonly KernelLine[] | undefined> {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined; // not there (containers, macOS), or for root alone
  }
  try {
    const lines: KernelLine[] = [];
    const buffer = Buffer.allocUnsafe(recordBytes);
    for (let records = 1; records < maxRecords; records++) {
      const record = readRecord(fd, buffer);
      if (record === undefined) return lines;
      const line = parseKmsg(record);
      if (line) lines.push(line);
      if (records % 1000 === 0) await breathe();
    }
    return lines;
  } finally {
    closeSync(fd);
  }
}

const recordBytes = 16 * 1024;
const maxRecords = 200_000;

/** The next record; undefined at the end; empty for one that was overwritten before it was read. */
function readRecord(fd: number, buffer: Buffer): string | undefined {
  try {
    const bytes = readSync(fd, buffer, 0, buffer.length, null);
    return bytes === 0 ? undefined : buffer.toString('utf8', 0, bytes);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return errorCode(error) === 'EPIPE' ? '' : undefined;
  }
}
