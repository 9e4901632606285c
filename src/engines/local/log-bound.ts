import fs from 'node:fs/promises';
import type { LogOffsets, LogStream } from '../../supervisor/ports.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import { blockBytes } from '../../util/os/follow-holes.js';
import { formatBytes } from '../../util/text.js';
import { bytesOnDisk } from './disk.js';
import { keepSpaceFree, lacksSpace } from './log-prune.js';
import type { Spawner } from './spawn.js';

/** Keeps an attempt's logs within their bound while they are written. */
export interface LogBound {
  /** Looks at the logs if enough was read, or enough time went by, since it last did. */
  check(): Promise<void>;
}

export interface LogBoundOptions {
  readonly files: Readonly<Record<LogStream, string>>;
  readonly attemptDir: string;
  /** Bytes on disk that both logs together may have. */
  readonly keepBytes: number;
  /** How far each was read; nothing beyond is ever released. */
  readonly offsets: () => LogOffsets;
  readonly notice: (text: string) => void;
  readonly spawner: Pick<Spawner, 'run'>;
  readonly mono: () => number;
}

/** Under this much free space logs are released to keep training alive (DESIGN section 4). */
const minFreeBytes = 256 * 1024 * 1024;
/** What the emergency leaves of each log, so that a failure can still be read. */
const emergencyKeepBytes = 1024 * 1024;
/** How often the free space is looked at while there is enough, ms; while there is not, at every check. */
const spaceLookMs = 1000;

/**
 * Logs over the bound lose their beginning, by punching a hole: offsets stay what they were and the worker, which
 * appends, notices nothing. When space runs out, old attempts' logs go, then what was read of this one's.
 */
export function createLogBound(options: LogBoundOptions): LogBound {
  const { files, attemptDir, keepBytes, offsets, mono, notice, spawner } = options;
  const everyBytes = Math.max(blockBytes, Math.floor(keepBytes / 16));
  const told = new Set<string>();
  let nextRead = everyBytes;
  let nextMono = 0;
  let impossible = false;

  const tellOnce = (about: string, text: string): void => {
    if (!told.has(about)) notice(text);
    told.add(about);
  };

  /** Releases what was read of a log, all but about its last `keep` bytes. */
  const release = async (stream: LogStream, keep: number): Promise<void> => {
    const { size } = await fs.stat(files[stream]);
    const length = Math.floor(Math.min(offsets()[stream], size - keep) / blockBytes) * blockBytes;
    if (impossible || length <= 0) return;
    const done = await spawner.run('fallocate', [
      ...['--punch-hole', '--offset', '0', '--length', String(length)],
      files[stream],
    ]);
    if (done.ok) return;
    impossible = true;
    const bound = formatBytes(keepBytes);
    notice(`this attempt's logs cannot be kept under ${bound}: fallocate --punch-hole failed (${done.why})`);
  };

  const keepBound = async (): Promise<void> => {
    const taken = { out: await bytesOnDisk(files.out), err: await bytesOnDisk(files.err) };
    if (taken.out + taken.err <= keepBytes) return;
    // down to three quarters, so that it is not done again at once; half of that for each if both are big
    const target = Math.floor(keepBytes * 0.75);
    const half = Math.floor(target / 2);
    const share = (other: number): number => (other < half ? target - other : half);
    if (taken.out > share(taken.err)) await release('out', share(taken.err));
    if (taken.err > share(taken.out)) await release('err', share(taken.out));
  };

  const keepFree = async (): Promise<void> => {
    const freed = await keepSpaceFree(attemptDir, minFreeBytes);
    if (freed.length > 0) notice(`the disk is nearly full: the logs of ${freed.join(', ')} were removed`);
    if (!(await lacksSpace(attemptDir, minFreeBytes))) return;
    for (const stream of ['out', 'err'] as const) {
      // not for every line: only once a quarter more has come
      if ((await bytesOnDisk(files[stream])) <= 1.25 * emergencyKeepBytes) continue;
      tellOnce('full', "the disk is nearly full: of this attempt's logs only the end is kept");
      await release(stream, emergencyKeepBytes);
    }
  };

  const look = async (): Promise<void> => {
    const read = offsets().out + offsets().err;
    if (read >= nextRead) {
      nextRead = read + everyBytes;
      await keepBound();
    }
    if (mono() < nextMono) return;
    const lacking = await lacksSpace(attemptDir, minFreeBytes);
    nextMono = lacking ? 0 : mono() + spaceLookMs;
    if (lacking) await keepFree();
  };

  return {
    async check() {
      try {
        await look();
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        tellOnce('error', `the attempt's logs could not be bounded (${errorText(error)}); still trying`);
      }
    },
  };
}
