import { readlinkSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { errorCode } from '../../util/os/durable.js';
import { readProcDir, readProcess, readProcText } from '../../util/os/proc.js';
import { printable } from '../../util/text.js';

/**
 * Names a process that is in the way: `python (pid 123, of bob)`.
 * @param program what the driver calls it, which counts pids as the host does: in a container that pid may be another's
 */
export function processWords(pid: number, program?: string): string {
  const isSeen = program === undefined || isProgram(pid, program);
  const user = isSeen ? userOf(pid) : undefined;
  const name = path.basename(program ?? readProcess(pid)?.comm ?? 'a process');
  return `${printable(name)} (pid ${pid}${user === undefined ? '' : `, of ${user}`})`;
}

const isProgram = (pid: number, program: string): boolean => {
  const [argv0 = ''] = (readProcText(`/proc/${pid}/cmdline`) ?? '').split('\0');
  return argv0 !== '' && path.basename(argv0) === path.basename(program);
};

/** Who listens on a TCP port of this host; undefined where that is not shown to us. */
export function listenerOf(port: number): number | undefined {
  const sockets = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) =>
    parseListeners(readProcText(file) ?? '', port),
  );
  if (sockets.length === 0) return undefined;
  const links = new Set(sockets.map((inode) => `socket:[${inode}]`));
  return readProcDir('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => readProcDir(`/proc/${pid}/fd`).some((fd) => links.has(linkOf(`/proc/${pid}/fd/${fd}`))));
}

/** Inodes of the sockets that listen on a port, by the text of /proc/net/tcp. */
export function parseListeners(text: string, port: number): readonly number[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
    // 0A: LISTEN
    return local.endsWith(`:${wanted}`) && state === '0A' ? [Number(inode)] : [];
  });
}

/** By name, or by number where /etc/passwd does not know it; undefined: the process is gone. */
function userOf(pid: number): string | undefined {
  try {
    const { uid } = statSync(`/proc/${pid}`);
    const passwd = readFileSync('/etc/passwd', 'utf8');
    const name = new RegExp(`^([^:\\n]+):[^:]*:${uid}:`, 'm').exec(passwd)?.[1];
    return name ?? `user ${uid}`;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch (error) {
    // closed meanwhile, or another user's
    if (errorCode(error) === undefined) throw error;
    return '';
  }
}
