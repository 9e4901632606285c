import { readlinkSync, statSync } from 'node:fs';
import path from 'node:path';
import { errorCode } from './durable.js';
import { readProcDir, readProcText } from './proc.js';

/** A file by what it is, not by what it is called. */
export interface FileId {
  readonly dev: number;
  readonly ino: number;
  /** Its name without its folder: looked at first, since a name costs less to read than a stat. */
  readonly base: string;
}

/** Names a file that exists. */
export function fileId(file: string): FileId {
  const { dev, ino } = statSync(file);
  return { dev, ino, base: path.basename(file) };
}

/** Whether a process has one of these files open for writing; one that only reads it (`tail -f`) has not. */
export function hasOpenForWriting(pid: number, files: readonly FileId[]): boolean {
  return openForWriting(pid, (target, link) => {
    const base = path.basename(target.replace(/ \(deleted\)$/, ''));
    return files.some((file) => file.base === base && sameFile(file, link));
  });
}

/** Whether a process has any file under one of these folders (real paths) open for writing. */
export function writesUnder(pid: number, dirs: readonly string[]): boolean {
  return openForWriting(pid, (target) => dirs.some((dir) => target.startsWith(`${dir}/`)));
}

function openForWriting(pid: number, wanted: (target: string, link: string) => boolean): boolean {
  return readProcDir(`/proc/${pid}/fd`).some((fd) => {
    const link = `/proc/${pid}/fd/${fd}`;
    const target = linkTarget(link);
    if (target?.startsWith('/') !== true || !wanted(target, link)) return false;
    const flags = /^flags:\s*([0-7]+)/m.exec(readProcText(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1];
    return flags !== undefined && (parseInt(flags, 8) & 3) !== 0; // O_ACCMODE: 0 reads, 1 writes, 2 does both
  });
}

function linkTarget(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch (error) {
    ignoreClosed(error);
    return undefined;
  }
}

function sameFile(file: FileId, link: string): boolean {
  try {
    const { dev, ino } = statSync(link);
    return dev === file.dev && ino === file.ino;
  } catch (error) {
    ignoreClosed(error);
    return false;
  }
}

/** A descriptor that is closed, or a process that ends, while we look. */
function ignoreClosed(error: unknown): void {
  const code = errorCode(error);
  if (code === undefined || !['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) throw error;
}
