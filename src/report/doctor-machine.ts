import { formatBytes, formatCount } from '../util/text.js';
import type { ResourceLimit } from '../util/os/limits.js';
import { type Check, fails, fine, warn } from './doctor-check.js';

/** What was found of the machine. Unknown is not zero: what could not be read is left out. */
export interface MachineFacts {
  /** As `process.platform` says. */
  readonly platform: string;
  readonly release: string;
  readonly arch: string;
  /** Node's version, `20.19.2`. */
  readonly node: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** ms since 1970. */
  readonly now: number;
  /** /proc/sys/kernel/random/boot_id can be read. */
  readonly bootIdKnown: boolean;
  readonly isRoot: boolean;
  readonly limits: readonly ResourceLimit[];
  /** /proc/sys/kernel/core_pattern. */
  readonly corePattern?: string;
  /** Size of /dev/shm, bytes. */
  readonly shmBytes?: number;
  /** The file in which the kernel counts its memory kills in our cgroup. */
  readonly oomCounter?: string;
  readonly kernelLogReadable: boolean;
  /** Where py-spy is. */
  readonly pySpy?: string;
  /** /proc/sys/kernel/yama/ptrace_scope. */
  readonly ptraceScope?: number;
  /** Only where systemd-logind is at work. */
  readonly logind?: { readonly killsUserProcesses: boolean; readonly lingers?: boolean };
  readonly session: 'tmux' | 'screen' | 'ssh' | 'terminal' | 'none';
}

/** The oldest Node that trainguard is tested with. */
const leastNode = [20, 19] as const;
/** Before trainguard was written: a clock that says so was never set, ms since 1970. */
const leastTime = Date.UTC(2025, 0, 1);
/** PyTorch's workers pass batches through it; Docker's own default is 64 MiB. */
const leastShmBytes = 1024 ** 3;
/** A training with data-loader workers opens hundreds of files and starts hundreds of threads. */
const leastOpenFiles = 4096;
const leastProcesses = 4096;

/** What the machine is good for. Pure. */
export function judgeMachine(facts: MachineFacts): readonly Check[] {
  if (facts.platform === 'win32') return [platformOf(facts)];
  const checks = [
    platformOf(facts),
    nodeOf(facts),
    clockOf(facts),
    ...limitsOf(facts),
    ...sharedMemoryOf(facts),
    sessionOf(facts),
  ];
  return facts.platform === 'linux' ? [...checks, ...evidenceOf(facts)] : checks;
}

function platformOf({ platform, release, arch, cpus, memoryBytes }: MachineFacts): Check {
  const size = `${formatCount(cpus)} cores, ${formatBytes(memoryBytes)} of memory`;
  if (platform === 'linux') return fine('platform', `Linux ${release} on ${arch}: ${size}`);
  if (platform === 'darwin')
    return warn('platform', `macOS ${release} on ${arch}: everything works but what needs /proc or cgroups`, 'memory kills and kernel messages are not seen there; ps stands in for the rest'); // prettier-ignore
  if (platform === 'win32')
    return fails('platform', 'trainguard does not run on Windows itself', 'use it inside WSL');
  return warn('platform', `trainguard was never tried on ${platform}`, 'Linux is where all of it works');
}

function nodeOf({ node }: MachineFacts): Check {
  const [major = 0, minor = 0] = node.split('.').map(Number);
  const isOld = major < leastNode[0] || (major === leastNode[0] && minor < leastNode[1]);
  if (!isOld) return fine('node', `Node ${node}`);
  return fails('node', `Node ${node} is older than ${leastNode.join('.')}, the oldest that is supported`, 'install a newer one'); // prettier-ignore
}

function clockOf({ now, platform, bootIdKnown }: MachineFacts): Check {
  if (now < leastTime)
    return warn('clock', `the clock says ${new Date(now).toISOString()}`, 'set it (timedatectl set-ntp true): steps and checkpoints are matched by time'); // prettier-ignore
  if (platform === 'linux' && !bootIdKnown)
    return warn('clock', 'the id of this boot cannot be read', 'mount /proc: without it a supervisor that comes back cannot tell its worker from a stranger'); // prettier-ignore
  return fine('clock', `${new Date(now).toISOString()}, and the boot can be told from others`);
}

function limitsOf(facts: MachineFacts): readonly Check[] {
  const bounds: readonly (Check | undefined)[] = [
    atLeast(facts, 'Max open files', leastOpenFiles, 'ulimit -n', 'data-loader workers open many files'),
    atLeast(facts, 'Max processes', leastProcesses, 'ulimit -u', 'every thread counts as one'),
    unlimited(facts, 'Max file size', 'ulimit -f', 'a checkpoint that is larger is cut off there'),
    unlimited(facts, 'Max cpu time', 'ulimit -t', 'the kernel kills a process that has used so many seconds'),
    unlimited(facts, 'Max address space', 'ulimit -v', 'a training that maps more fails with a MemoryError'),
    coreOf(facts),
  ];
  const found = bounds.flatMap((check) => (check ? [check] : []));
  if (found.length > 0 || facts.limits.length === 0) return found;
  return [fine('limits', `${softOf(facts, 'Max open files') ?? '?'} open files, ${softOf(facts, 'Max processes') ?? '?'} processes, no bound on file size, processor time or address space`)]; // prettier-ignore
}

const softOf = ({ limits }: MachineFacts, name: string): string | undefined =>
  limits.find((limit) => limit.name === name)?.soft;

function atLeast(
  facts: MachineFacts,
  name: string,
  least: number,
  command: string,
  why: string,
): Check | undefined {
  const soft = softOf(facts, name);
  if (soft === undefined || soft === 'unlimited' || Number(soft) >= least) return undefined;
  return warn('limits', `${name.toLowerCase()}: ${soft} (${why})`, `${command} ${least}, before the run is started`); // prettier-ignore
}

function unlimited(facts: MachineFacts, name: string, command: string, why: string): Check | undefined {
  const soft = softOf(facts, name);
  if (soft === undefined || soft === 'unlimited') return undefined;
  return warn('limits', `${name.toLowerCase()}: ${soft} (${why})`, `${command} unlimited, before the run is started`); // prettier-ignore
}

function coreOf(facts: MachineFacts): Check | undefined {
  const soft = softOf(facts, 'Max core file size');
  const { corePattern } = facts;
  // a pattern that begins with | hands the dump to a program (apport, systemd-coredump), which bounds it
  if (soft === undefined || soft === '0' || corePattern === undefined || corePattern.startsWith('|'))
    return undefined;
  const where = corePattern.startsWith('/') ? corePattern : `${corePattern} in the working directory`;
  return warn('limits', `a crash writes all of the training's memory to disk (${where})`, 'ulimit -c 0, before the run is started'); // prettier-ignore
}

function sharedMemoryOf({ shmBytes }: MachineFacts): readonly Check[] {
  if (shmBytes === undefined) return [];
  const text = `/dev/shm holds ${formatBytes(shmBytes)}`;
  if (shmBytes >= leastShmBytes) return [fine('shared memory', text)];
  return [
    warn(
      'shared memory',
      `${text}: data-loader workers that pass batches through it die of a bus error`,
      'start the container with --shm-size=8g or --ipc=host, or train with num_workers=0',
    ),
  ];
}

function sessionOf({ session, logind }: MachineFacts): Check {
  const where = {
    tmux: 'inside tmux',
    screen: 'inside screen',
    ssh: 'in an ssh session: when it closes trainguard goes on without the terminal',
    terminal: 'in a terminal: when it closes trainguard goes on without it',
    none: 'without a terminal',
  }[session];
  if (logind?.killsUserProcesses !== true) return fine('session', where);
  if (logind.lingers === true)
    return fine('session', `${where}; logind kills what a logout leaves, but this user lingers`);
  return warn(
    'session',
    `${where}; logind has KillUserProcesses=yes: at the logout it kills tmux, nohup and --detach alike`,
    'loginctl enable-linger, then start it with "systemd-run --user --scope", or by the unit of "trainguard init --systemd"',
  );
}

/** What will be known of a death or a hang. */
function evidenceOf({
  oomCounter,
  kernelLogReadable,
  pySpy,
  ptraceScope,
  isRoot,
}: MachineFacts): readonly Check[] {
  const memory =
    oomCounter === undefined
      ? warn('memory kills', 'the kernel’s count of memory kills is not to be found, so a death by SIGKILL may stay unexplained', 'mount /sys/fs/cgroup (cgroup v2, or v1 with its memory controller)') // prettier-ignore
      : fine('memory kills', `counted in ${oomCounter}`);
  const kernel = kernelLogReadable
    ? fine('kernel log', 'can be read')
    : warn('kernel log', 'cannot be read, so GPU faults (Xid) and memory kills are told by their traces alone', 'sysctl kernel.dmesg_restrict=0, or add the user to the group that may read /dev/kmsg'); // prettier-ignore
  return [memory, kernel, stacksOf(pySpy, ptraceScope, isRoot)];
}

function stacksOf(pySpy: string | undefined, scope: number | undefined, isRoot: boolean): Check {
  if (pySpy === undefined)
    return warn('stacks', 'py-spy is not in PATH: of a hang only what the kernel knows is kept, not the line of Python', 'pip install py-spy, or call faulthandler.enable() in the script'); // prettier-ignore
  // under scope 1 only an ancestor may trace, and py-spy is the training's sibling
  if (!isRoot && scope !== undefined && scope > 0)
    return warn('stacks', `${pySpy} is there, but may not look into the training (ptrace_scope ${scope})`, 'sysctl kernel.yama.ptrace_scope=0, or call faulthandler.enable() in the script'); // prettier-ignore
  return fine('stacks', `${pySpy} shows where a training hangs`);
}
