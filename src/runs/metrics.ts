import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import type { Heartbeat } from '../progress/types.js';
import type { LogOffsets } from '../supervisor/ports.js';
import { errorCode, files, writeFileAtomic, writeFully } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import { fromJson, toJson } from './json.js';
import { refused, tooNew } from './problems.js';
import { schemaVersion } from './versioned-file.js';

/** A heartbeat as it is kept: when, in which attempt, and how far the logs were read then. */
export interface MetricRecord {
  /** ms since 1970. */
  readonly at: number;
  readonly attempt: number;
  readonly heartbeat: Heartbeat;
  readonly offsets: LogOffsets;
}

/** A record and its number among all heartbeats of the run, from 0. */
export type NumberedRecord = MetricRecord & { readonly n: number };

/** Where to cut what an earlier supervisor wrote beyond the point that its successor begins at. */
export type Cut = { readonly fromNumber: number } | { readonly fromAttempt: number };

/**
 * metrics.jsonl: every heartbeat while there are few, then every 2nd, 4th, 8th… of the whole run, so that the file
 * stays under its bound and its points evenly spread. Each line says its number `n`; kept are those that the present
 * stride divides. Not fsynced: losing its end loses a few points of a curve.
 */
export class MetricsFile {
  readonly file: string;
  readonly #maxLines: number;
  #lines: number;
  #next: number;
  #stride: number;
  #size: number;
  #buffer: { readonly n: number; readonly text: string }[] = [];
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(file: string, maxLines: number, found: Found) {
    this.file = file;
    this.#maxLines = maxLines;
    this.#lines = found.lines.length;
    this.#next = found.next;
    this.#stride = strideOf(found.lines);
    this.#size = found.size;
  }

  /**
   * Goes on with the file there is; its end, if torn or cut, is overwritten.
   * @param maxLines 20,000: about 4 MB
   * @param cut what will be added again
   */
  static async open(file: string, maxLines = mostLines, cut?: Cut): Promise<Result<MetricsFile>> {
    const found = await readLines(file, cut);
    return found.ok ? ok(new MetricsFile(file, maxLines, found.value)) : found;
  }

  /** Heartbeats of the run that were added so far, kept or not. */
  get count(): number {
    return this.#next;
  }

  /** Takes a heartbeat; what is kept of it goes to the file at the next `flush`. At most `maxLines` wait. */
  add(record: MetricRecord): void {
    const n = this.#next++;
    if (n % this.#stride !== 0) return;
    if (this.#buffer.length >= this.#maxLines) this.#widen();
    this.#buffer.push({ n, text: encode({ ...record, n }) });
  }

  /** Writes what was added. On a Problem it is kept for the next time. */
  flush(): Promise<Result<void>> {
    const turn = this.#queue.then(() => this.#flush());
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #flush(): Promise<Result<void>> {
    const lines = this.#buffer;
    this.#buffer = [];
    try {
      if (lines.length > 0) await this.#append(Buffer.from(lines.map(({ text }) => text).join('')));
      this.#lines += lines.length;
    } catch (error) {
      this.#buffer = [...lines, ...this.#buffer];
      while (this.#buffer.length > this.#maxLines) this.#widen();
      return refused(`write ${this.file}`, error);
    }
    return this.#lines > this.#maxLines ? this.#thin() : ok(undefined);
  }

  /** Keeps every second of what waits, and of what is to come. */
  #widen(): void {
    this.#stride *= 2;
    this.#buffer = this.#buffer.filter(({ n }) => n % this.#stride === 0);
  }

  async #append(bytes: Buffer): Promise<void> {
    const handle = await files.open(this.file, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      // it was deleted, or thinned by a write that failed after all: no hole is left
      this.#size = Math.min(this.#size, (await handle.stat()).size);
      // at our own end: whatever a failed write left beyond it is overwritten or cut
      await writeFully(handle, bytes, this.#size);
      await handle.truncate(this.#size + bytes.length);
    } finally {
      await handle.close();
    }
    this.#size += bytes.length;
  }

  /** Drops every second line until half the bound is left. By byte ranges, unparsed: this is the supervisor's peak. */
  async #thin(): Promise<Result<void>> {
    try {
      const bytes = await fs.readFile(this.file);
      // where an earlier thinning could not be written, the stride is wider than the file
      let lines = numberedLines(bytes).filter(({ n }) => n % this.#stride === 0);
      while (lines.length > this.#maxLines / 2 && this.#stride < longestStride) {
        this.#widen();
        lines = lines.filter(({ n }) => n % this.#stride === 0);
      }
      const kept = Buffer.concat(lines.map(({ from, to }) => bytes.subarray(from, to)));
      await writeFileAtomic(this.file, kept);
      this.#lines = lines.length;
      this.#size = kept.length;
      return ok(undefined);
    } catch (error) {
      return refused(`thin ${this.file}`, error);
    }
  }
}

/** How every line of ours begins. */
const numbered = /^\{"schemaVersion":\d+,"n":(\d+)[,}]/;
const headBytes = 64;

interface LineRange {
  readonly n: number;
  readonly from: number;
  readonly to: number;
}

/** Where the lines lie, and their numbers; what is no line of ours is left out. */
function numberedLines(bytes: Buffer): LineRange[] {
  const lines: LineRange[] = [];
  for (let from = 0, end = bytes.indexOf(10); end >= 0; from = end + 1, end = bytes.indexOf(10, from)) {
    const n = numbered.exec(bytes.toString('latin1', from, Math.min(end, from + headBytes)))?.[1];
    if (n !== undefined) lines.push({ n: Number(n), from, to: end + 1 });
  }
  return lines;
}

/** How many lines the file is bound to. */
const mostLines = 20_000;
const longestStride = 2 ** 40;

const encode = ({ n, ...record }: NumberedRecord): string => `${toJson({ schemaVersion, n, ...record })}\n`;

/** All kept heartbeats in order; lines that cannot be read are left out, a missing file is empty. */
export async function readMetrics(file: string): Promise<Result<readonly NumberedRecord[]>> {
  const found = await readLines(file);
  return found.ok ? ok(found.value.lines) : found;
}

interface Found {
  readonly lines: readonly NumberedRecord[];
  /** Length up to the last newline, or up to the cut, bytes. */
  readonly size: number;
  /** The number of the next heartbeat. */
  readonly next: number;
}

async function readLines(file: string, cut?: Cut): Promise<Result<Found>> {
  let bytes: Buffer;
  try {
    bytes = await fs.readFile(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ok({ lines: [], size: 0, next: 0 });
    return refused(`read ${file}`, error);
  }
  const lines: NumberedRecord[] = [];
  let size = bytes.lastIndexOf(10) + 1;
  for (let from = 0, end = bytes.indexOf(10); end >= 0; from = end + 1, end = bytes.indexOf(10, from)) {
    const decoded = decode(bytes.toString('utf8', from, end));
    if (!decoded) continue;
    if (decoded.version > schemaVersion) return tooNew(file, decoded.version, schemaVersion);
    if (cut && isBeyond(cut, decoded.line)) {
      size = from;
      break;
    }
    lines.push(decoded.line);
  }
  const next = cut && 'fromNumber' in cut ? cut.fromNumber : (lines.at(-1)?.n ?? -1) + 1;
  return ok({ lines, size, next });
}

const isBeyond = (cut: Cut, { n, attempt }: NumberedRecord): boolean =>
  'fromNumber' in cut ? n >= cut.fromNumber : attempt >= cut.fromAttempt;

function decode(text: string): { readonly line: NumberedRecord; readonly version: number } | undefined {
  try {
    const { schemaVersion: version, ...line } = fromJson(text) as NumberedRecord & { schemaVersion: unknown };
    return typeof line.n === 'number' && typeof version === 'number' ? { line, version } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The stride a file was thinned to: the largest power of two that divides every number in it. */
function strideOf(lines: readonly NumberedRecord[]): number {
  if (lines.length < 3) return 1;
  let stride = 1;
  while (stride < longestStride && lines.every(({ n }) => n % (stride * 2) === 0)) stride *= 2;
  return stride;
}
