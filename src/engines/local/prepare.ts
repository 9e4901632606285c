import { closeSync, constants, existsSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { bootId, mono } from '../../util/os/boot.js';
import { errorCode, errorText, syncDir, syncFile } from '../../util/os/durable.js';
import { thisPlace } from '../../util/os/lock-owner.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import type { LaunchSpec } from '../../supervisor/ports.js';
import { attemptFiles } from './attempt-files.js';
import type { LaunchRecord } from './launch-record.js';

/** The worker's own descriptors. */
export interface LogDescriptors {
  readonly out: number;
  readonly err: number;
  close(): void;
}

/**
 * Makes the attempt's folder ready for its shim: `go/`, the blank `pid` and `exit`, the launch record, the logs.
 * Small and synchronous, since a restart waits for it. A folder with a launch that nobody won is used again; one
 * that was launched is a Problem.
 */
export function prepareLaunch(
  spec: LaunchSpec,
  now: number,
  oomCount?: LaunchRecord['oomCount'],
): Result<LogDescriptors> {
  const { attemptDir } = spec;
  const files = attemptFiles(attemptDir);
  try {
    if (existsSync(files.launch) && !existsSync(files.go))
      return fail(
        `${attemptDir} was launched before; take the next attempt's number`,
        exitStatus.busy,
        'EEXIST',
      );
    mkdirSync(attemptDir, { recursive: true, mode: 0o700 });
    // first, so that a launch record without it always means a launch
    mkdirSync(files.go, { recursive: true, mode: 0o700 });
    // blanks, so that what is written over them needs no room on a disk that is full by then
    writeWhole(files.pid, ' '.repeat(1024));
    writeWhole(files.exit, ' '.repeat(256));
    writeWhole(files.shimErr, '');
    writeWhole(files.launch, `${JSON.stringify(launchRecord(spec, now, oomCount), null, 2)}\n`);
    const out = openLog(files.out);
    const err = openLog(files.err);
    return ok({
      out,
      err,
      close: () => [out, err].forEach((fd) => closeSync(fd)),
    });
  } catch (error) {
    const why = errorText(error);
    const text = `the attempt's folder ${attemptDir} cannot be written (${why}); free the disk or choose another --state-dir`;
    return fail(text, exitStatus.config, errorCode(error));
  }
}

/**
 * Makes the launch record survive a power cut. Apart from preparing, and after the start: within this boot the page
 * cache is the truth, and after a power cut no worker is left that a record could name.
 */
export async function syncLaunch(attemptDir: string): Promise<void> {
  await syncFile(attemptFiles(attemptDir).launch);
  await syncDir(attemptDir);
}

function launchRecord(spec: LaunchSpec, now: number, oomCount: LaunchRecord['oomCount']): LaunchRecord {
  const { runId, attempt, argv, cwd, stopSignal } = spec;
  const { pidNamespace } = thisPlace();
  return {
    schemaVersion: 1,
    runId,
    attempt,
    argv,
    cwd,
    stopSignal,
    bootId: bootId(),
    ...(pidNamespace !== undefined && { pidNamespace }),
    startedAt: now,
    startedMono: mono(),
    ...(oomCount && { oomCount }),
  };
}

function writeWhole(file: string, text: string): void {
  const fd = openSync(file, 'w', 0o600);
  try {
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length;) {
      const written = writeSync(fd, bytes, done);
      if (written === 0) throw Object.assign(new Error(`short write to ${file}`), { code: 'ENOSPC' });
      done += written;
    }
  } finally {
    closeSync(fd);
  }
}

const openLog = (file: string): number =>
  openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
