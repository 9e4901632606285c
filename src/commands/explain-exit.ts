import type { Exit } from '../failure/types.js';

/** How a log itself says that its program ended. */
interface Saying {
  readonly pattern: RegExp;
  readonly exit: (match: RegExpExecArray) => Exit | undefined;
}

const signalNumbers: Readonly<Record<string, number>> = {
  ...{
    SIGHUP: 1,
    SIGINT: 2,
    SIGQUIT: 3,
    SIGILL: 4,
    SIGTRAP: 5,
    SIGABRT: 6,
    SIGBUS: 7,
    SIGFPE: 8,
    SIGKILL: 9,
  },
  ...{ SIGUSR1: 10, SIGSEGV: 11, SIGUSR2: 12, SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15 },
  ...{ SIGXCPU: 24, SIGXFSZ: 25, SIGSYS: 31 },
};

/** `SIGKILL`, `kill`, `9`; undefined: there is no such signal. */
export function signalExit(name: string): Exit | undefined {
  const byNumber = Object.entries(signalNumbers).find(([, number]) => String(number) === name)?.[0];
  const upper = name.toUpperCase();
  const signal = byNumber ?? (upper.startsWith('SIG') ? upper : `SIG${upper}`);
  const number = signalNumbers[signal];
  return number === undefined ? undefined : { type: 'signal', signal, number };
}

const code = (status: number): Exit => ({ type: 'code', code: status });

const codeExit = (match: RegExpExecArray): Exit | undefined => {
  const status = Number(match[1]);
  if (status < 0) return signalExit(String(-status));
  return status > 0 && status < 256 ? code(status) : undefined;
};

/** What shells, Slurm and torchrun write when a program ends. Data; the newest line that matches counts. */
export const sayings: readonly Saying[] = [
  // bash and dash: `train.sh: line 3: 12345 Killed   python train.py`, or the word alone
  { pattern: /(?:^|: line \d{1,9}: {1,8}\d{1,9} )Killed(?: {2,80}\S|$)/, exit: () => signalExit('SIGKILL') },
  { pattern: /(?:^|\d |: )Segmentation fault(?: {0,2}\(| {2,80}\S|$)/, exit: () => signalExit('SIGSEGV') },
  { pattern: /(?:^|\d )Aborted(?: \(core dumped\)| {2,80}\S|$)/, exit: () => signalExit('SIGABRT') },
  { pattern: /\bBus error\b(?: \(core dumped\)|$)/, exit: () => signalExit('SIGBUS') },
  { pattern: /(?:^|\d )Terminated(?: {2,80}\S|$)/, exit: () => signalExit('SIGTERM') },
  { pattern: /^\S{0,200}sh: (?:line )?\d{1,9}: .{1,500}: (?:command )?not found$/, exit: () => code(127) },
  { pattern: /^\S{0,200}sh: (?:line )?\d{1,9}: .{1,500}: Permission denied$/, exit: () => code(126) },
  // what a C library and C++ say before they abort
  { pattern: /^Fatal Python error: Aborted\b/, exit: () => signalExit('SIGABRT') },
  { pattern: /^terminate called (?:after throwing|without an active)/, exit: () => signalExit('SIGABRT') },
  { pattern: /: Assertion `.{0,1000}' failed\.$/, exit: () => signalExit('SIGABRT') },
  {
    pattern: /\b(?:double free or corruption|free\(\): invalid |malloc\(\): |corrupted size vs\. prev_size)/,
    exit: () => signalExit('SIGABRT'),
  },
  // Slurm
  { pattern: /^srun: error: .{0,200}: Exited with exit code (\d{1,3})$/, exit: codeExit },
  { pattern: /^srun: error: .{0,200}: Killed$/, exit: () => signalExit('SIGKILL') },
  // torchrun's table
  { pattern: /^ {1,8}exitcode {1,4}: (-?\d{1,3}) \(pid: /, exit: codeExit },
  { pattern: /\bexited with (?:exit )?(?:code|status) (\d{1,3})\b/i, exit: codeExit },
];

/** How the last lines of a log say that it ended; undefined: they do not. */
export function saidExit(lines: readonly string[]): Exit | undefined {
  for (const line of lines.toReversed()) {
    for (const { pattern, exit } of sayings) {
      const match = pattern.exec(line);
      const said = match ? exit(match) : undefined;
      if (said) return said;
    }
  }
  return undefined;
}
