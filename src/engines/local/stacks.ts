import fs from 'node:fs/promises';
import { readProcDir, readProcText, type ProcInfo } from '../../util/os/proc.js';

/**
 * Appends to a file what every thread of these processes does, as the kernel sees it: state, wchan, system call, and
 * the kernel's stack where that may be read (root). At most 1 MiB a dump, and no more once the file has 16 MiB.
 * @param at milliseconds since 1970
 */
export async function dumpStacksOf(file: string, processes: readonly ProcInfo[], at: number): Promise<void> {
  const size = (await fs.stat(file).catch(() => undefined))?.size ?? 0; // not there yet
  if (size > 16 * maxDumpBytes) return;
  const parts = [`=== ${new Date(at).toISOString()}\n`, processTree(processes)];
  let length = 0;
  for (const info of processes) {
    const part = describeProcess(info);
    length += part.length;
    if (length > maxDumpBytes) {
      parts.push('… more processes are left out\n');
      break;
    }
    parts.push(part);
  }
  await fs.appendFile(file, `${parts.join('\n')}\n`, { mode: 0o600 });
}

const maxDumpBytes = 1024 * 1024;
const maxThreads = 256;

/** Children indented under their parents. */
export function processTree(processes: readonly ProcInfo[]): string {
  const pids = new Set(processes.map(({ pid }) => pid));
  const lines: string[] = [];
  const add = (info: ProcInfo, depth: number): void => {
    if (depth > 64 || lines.length > 1000) return;
    lines.push(`${'  '.repeat(depth)}${info.pid} ${info.state} ${commandOf(info)}`);
    for (const child of processes) if (child.ppid === info.pid) add(child, depth + 1);
  };
  for (const info of processes) if (!pids.has(info.ppid)) add(info, 0);
  return `${lines.join('\n')}\n`;
}

function describeProcess(info: ProcInfo): string {
  const tasks = `/proc/${info.pid}/task`;
  const threads = readProcDir(tasks).slice(0, maxThreads);
  const told = threads.map((thread) => {
    const read = (name: string): string => readProcText(`${tasks}/${thread}/${name}`)?.trim() ?? '';
    const state = /^State:\s*(.*)$/m.exec(read('status'))?.[1] ?? '?';
    const stack = read('stack')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => `\n      ${line}`)
      .join('');
    return `  thread ${thread} ${read('comm')}: ${state}, wchan ${read('wchan')}, syscall ${read('syscall')}${stack}`;
  });
  return `${info.pid} ${commandOf(info)}\n${told.join('\n')}\n`;
}

function commandOf({ pid, comm }: ProcInfo): string {
  const command = readProcText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim();
  return (command === undefined || command === '' ? `(${comm})` : command).slice(0, 500);
}
