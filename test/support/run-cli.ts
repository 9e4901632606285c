import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { atEnd, type TestEnd } from './cleanup.js';
import { killLeftovers } from './leftovers.js';
import { root } from './root.js';
import { start, type Running } from './running.js';
import { isTempDir, tempDir } from './temp-dir.js';

export type { Ended, Running } from './running.js';

export interface CliOptions {
  /** A temporary folder unless given. If of `tempDir`, all that still works in it or below is killed at the test's end. */
  readonly cwd?: string;
  /** Added to a cleaned copy of ours; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What it reads from stdin, which is /dev/null otherwise. */
  readonly input?: string;
  /** After so long it is killed and `done` rejects; 180 s unless given. */
  readonly timeoutMs?: number;
}

/** Starts `node bin/trainguard.js …args`. When the test ends whatever came of it is killed, workers included. */
export const runCli = (t: TestEnd, args: readonly string[], options: CliOptions = {}): Running =>
  runProgram(t, [process.execPath, path.join(root, 'bin', 'trainguard.js'), ...args], options);

/** The same for any other program: a trainer, a shell script. */
export function runProgram(
  t: TestEnd,
  argv: readonly [string, ...string[]],
  options: CliOptions = {},
): Running {
  const cwd = options.cwd ?? tempDir(t);
  const marker = `TEST_PROCESS_${randomUUID().replaceAll('-', '')}`;
  const running = start(argv, {
    cwd,
    env: { ...cleanEnv(), ...options.env, [marker]: '1' },
    input: options.input,
    timeoutMs: options.timeoutMs ?? 180_000,
  });
  atEnd(t, async () => {
    running.kill('SIGKILL');
    await killLeftovers(`${marker}=1`, isTempDir(cwd) ? cwd : undefined);
  });
  return running;
}

/** Ours without what would change how trainguard behaves or looks. */
function cleanEnv(): NodeJS.ProcessEnv {
  const unwanted =
    /^(TRAINGUARD_|PUPPET_|DIGITS_|SLURM_|KUBERNETES_|NODE_TEST_CONTEXT$|FORCE_COLOR$|NO_COLOR$|PYTHONUNBUFFERED$)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)));
  // no training here has a GPU, so who else uses those of this machine is not waited for before a retry
  return { ...env, CUDA_VISIBLE_DEVICES: '' };
}
