import { constants, existsSync, statSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { findOomFile } from '../engines/local/host-facts.js';
import type { MachineFacts } from '../report/doctor-machine.js';
import { errorCode } from '../util/os/durable.js';
import { readLimits } from '../util/os/limits.js';
import { readProcText } from '../util/os/proc.js';
import { ask, whereIs } from './doctor-tools.js';

/**
 * Looks at the machine; changes nothing.
 * @param command the first word of the training's command: py-spy may lie beside it
 */
export async function machineFacts(command: string | undefined): Promise<MachineFacts> {
  const isFile = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isFile() === true;
  const corePattern = readProcText('/proc/sys/kernel/core_pattern')?.trim();
  const scope = readProcText('/proc/sys/kernel/yama/ptrace_scope')?.trim();
  const oomCounter = findOomFile(
    readProcText('/proc/self/cgroup') ?? '',
    readProcText('/proc/self/mountinfo') ?? '',
    isFile,
  );
  const shmBytes = await sizeOf('/dev/shm');
  const pySpy = pySpyFor(command);
  const logind = await askLogind();
  return {
    platform: process.platform,
    release: os.release(),
    arch: process.arch,
    node: process.versions.node,
    cpus: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    now: Date.now(),
    bootIdKnown: readProcText('/proc/sys/kernel/random/boot_id') !== undefined,
    isRoot: process.geteuid?.() === 0,
    limits: readLimits(),
    ...(corePattern !== undefined && { corePattern }),
    ...(shmBytes !== undefined && { shmBytes }),
    ...(oomCounter !== undefined && { oomCounter }),
    kernelLogReadable: await canReadKernelLog(),
    ...(pySpy !== undefined && { pySpy }),
    ...(scope !== undefined && { ptraceScope: Number(scope) }),
    ...(logind && { logind }),
    session: sessionOf(process.env),
  };
}

/** In PATH, or in the environment of the command's interpreter. */
function pySpyFor(command: string | undefined): string | undefined {
  const program = command === undefined ? undefined : whereIs(command);
  const beside = program === undefined ? undefined : path.join(path.dirname(program), 'py-spy');
  return whereIs('py-spy') ?? (beside !== undefined && existsSync(beside) ? beside : undefined);
}

/** What a terminal or a multiplexer leaves in the environment. */
function sessionOf({ TMUX, STY, SSH_CONNECTION }: NodeJS.ProcessEnv): MachineFacts['session'] {
  if (TMUX !== undefined) return 'tmux';
  if (STY !== undefined) return 'screen';
  if (SSH_CONNECTION !== undefined) return 'ssh';
  return process.stdin.isTTY ? 'terminal' : 'none';
}

/** Asked of logind itself: what its files leave out is each distribution's own. */
async function askLogind(): Promise<MachineFacts['logind']> {
  if (!existsSync('/run/systemd/system')) return undefined;
  const manager = ['org.freedesktop.login1', '/org/freedesktop/login1', 'org.freedesktop.login1.Manager'];
  const kills = await ask('busctl', 'get-property', ...manager, 'KillUserProcesses');
  if (!kills.ok) return undefined;
  const uid = String(process.getuid?.() ?? 0);
  const linger = await ask('loginctl', 'show-user', uid, '--property=Linger', '--value');
  return {
    killsUserProcesses: kills.stdout.trim() === 'b true',
    ...(linger.ok && { lingers: linger.stdout.trim() === 'yes' }),
  };
}

/** It can be opened by many and read by few. */
async function canReadKernelLog(): Promise<boolean> {
  try {
    const handle = await fs.open('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      await handle.read(Buffer.alloc(8192), 0, 8192, null);
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    // nothing new to read, or overrun while it was read: it is open to us
    return code === 'EAGAIN' || code === 'EPIPE';
  }
}

async function sizeOf(dir: string): Promise<number | undefined> {
  try {
    const { blocks, bsize } = await fs.statfs(dir);
    return blocks * bsize;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}
