import fs from 'node:fs/promises';
import type { GlobalOptions } from '../cli.js';
import type { Exit } from '../failure/types.js';
import { describeExplanation } from '../report/report-explanation.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { signalExit } from './explain-exit.js';
import { explain as explainLogs, failureFinder } from './explain-judge.js';
import { digestLog, type Finder, type LogDigest } from './explain-read.js';
import { refuse } from './refuse.js';

export interface ExplainOptions extends GlobalOptions {
  readonly exitCode?: number;
  readonly signal?: string;
}

/**
 * `trainguard explain <log…>`: says why the program that wrote the logs failed. Exit 0 whenever it could answer, also
 * where no failure was found; 1 if a log cannot be read.
 */
export async function explain(names: readonly string[], options: ExplainOptions): Promise<number> {
  const json = options.json === true;
  const exit = exitOf(options);
  if (!exit.ok) return refuse(exit.error, json);
  if (new Set(names).size < names.length)
    return refuse(fail('a log is named twice; name each once', exitStatus.usage).error, json);
  const finder = failureFinder();
  const logs: LogDigest[] = [];
  for (const name of names) {
    const log = await readLog(name, finder);
    if (!log.ok) return refuse(log.error, json);
    logs.push(log.value);
  }
  const explanation = explainLogs(logs, exit.value);
  process.stdout.write(
    json
      ? `${JSON.stringify({ schemaVersion: 1, found: explanation.cause !== null, ...explanation })}\n`
      : describeExplanation(explanation),
  );
  return exitStatus.done;
}

function exitOf({ exitCode, signal }: ExplainOptions): Result<Exit | undefined> {
  if (exitCode !== undefined && signal !== undefined)
    return fail('a program ends by --exit-code or by --signal, not by both', exitStatus.usage);
  if (exitCode !== undefined) {
    if (exitCode > 255)
      return fail(`--exit-code ${exitCode}: exit statuses go from 0 to 255`, exitStatus.usage);
    return ok({ type: 'code', code: exitCode });
  }
  if (signal === undefined) return ok(undefined);
  const exit = signalExit(signal);
  return exit
    ? ok(exit)
    : fail(`--signal ${signal}: there is no such signal; use SIGKILL, or 9`, exitStatus.usage);
}

async function readLog(name: string, finder: Finder): Promise<Result<LogDigest>> {
  const source = name === '-' ? 'stdin' : name;
  try {
    if (name === '-') return ok(await digestLog(source, checked(readStdin()), finder));
    const handle = await fs.open(name, 'r');
    try {
      const read: Read = async (into) => (await handle.read(into, 0, into.length, null)).bytesRead;
      const isDevice = (await handle.stat()).isCharacterDevice();
      return ok(await digestLog(source, checked(read, isDevice), finder));
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof NoLog) return fail(`${source} ${error.message}`, exitStatus.failed);
    const code = errorCode(error);
    if (code === undefined) throw error;
    return fail(whyNot(source, code, error), exitStatus.failed, code);
  }
}

type Read = (into: Uint8Array) => Promise<number>;

/** Pipes, sockets and terminals alike. */
function readStdin(): Read {
  const chunks = process.stdin[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  let rest: Buffer = Buffer.alloc(0);
  return async (into) => {
    if (rest.length === 0) rest = (await chunks.next()).value ?? rest;
    const length = rest.copy(into);
    rest = rest.subarray(length);
    return length;
  };
}

/**
 * Looks at what comes first.
 * @param isDevice of a file that begins with zeros the rest may be a log, a device goes on so for ever
 */
function checked(read: Read, isDevice = false): Read {
  let first = true;
  return async (into) => {
    const length = await read(into);
    if (first) refuseBinary(into.subarray(0, length), isDevice);
    first = false;
    return length;
  };
}

function whyNot(name: string, code: string, error: unknown): string {
  switch (code) {
    case 'ENOENT':
      return `there is no log ${name}; check its name`;
    case 'EISDIR':
      return `${name} is a folder; name the log in it`;
    case 'EACCES':
      return `${name} cannot be read: no permission`;
    default:
      return `${name} cannot be read: ${errorText(error)}`;
  }
}

class NoLog extends Error {}

const probeBytes = 8192;
/** What a program that writes text never begins with. */
const packed: readonly (readonly [string, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['zip', [0x50, 0x4b, 0x03, 0x04]],
];

/** What terminals are told by: bell, backspace, tab, line feed, vertical tab, form feed, carriage return, escape. */
const usual: ReadonlySet<number> = new Set([7, 8, 9, 10, 11, 12, 13, 27]);

const isStray = (byte: number): boolean => (byte < 32 && !usual.has(byte)) || byte === 127;

/** A log may begin with a hole where its start was released, and hold a stray NUL; it is not full of them. */
function refuseBinary(bytes: Uint8Array, isDevice: boolean): void {
  const kind = packed.find(([, magic]) => magic.every((byte, at) => bytes[at] === byte))?.[0];
  if (kind !== undefined)
    throw new NoLog(`is packed by ${kind}; unpack it first (to a pipe: explain - reads stdin)`);
  const begin = bytes.findIndex((byte) => byte !== 0);
  const head = begin === -1 ? bytes.subarray(0, 0) : bytes.subarray(begin, begin + probeBytes);
  const stray = head.filter(isStray).length;
  const isEndless = isDevice && begin === -1 && bytes.length > 0;
  if (isEndless || stray * 100 > head.length) throw new NoLog('is no log: it is binary');
}
