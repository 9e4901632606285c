import path from 'node:path';
import { discoverCheckpointDir } from '../checkpoints/discovery.js';
import type { Policy } from '../policy/policy.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { splitWords } from './resume.js';
import type { RunOptions } from './run.js';
import type { CheckpointPlan, RunPlan } from './run-plan.js';
import { resolveStateDir } from './state-dir.js';

export async function planRun(command: readonly string[], options: RunOptions): Promise<Result<RunPlan>> {
  const cwd = process.cwd();
  const [program, ...rest] = command;
  if (program === undefined) {
    return fail('no command to run; say "trainguard run -- python train.py"', exitStatus.usage);
  }
  const argv = [program, ...rest] as const;
  const stateDir = resolveStateDir({ flag: options.stateDir, cwd });
  const policy: Policy = {
    maxRetries: options.maxRetries ?? 3,
    stopOnRepeat: 3,
    outageWindowMs: 7_200_000,
    rollbackEnabled: options.rollback,
    allowScratch: options.allowScratch ?? false,
    backoff: {
      initialMs: options.backoffInitial ?? 10_000,
      factor: 2,
      maxMs: options.backoffMax ?? 300_000,
      jitter: 0.25,
    },
    silence: {
      ...(options.startupTimeout !== undefined && { startupTimeoutMs: options.startupTimeout }),
      ...(options.heartbeatTimeout !== undefined && { timeoutMs: options.heartbeatTimeout }),
    },
    health: { nonFinite: 'rollback', spike: 'warn' },
    stop: { signal: 'SIGTERM', graceMs: options.stopGrace ?? 30_000 },
    provenAfterMs: 120_000,
    rules: [],
  };
  const words = splitWords(options.resumeArgs ?? '');
  if (!words.ok) return words;
  const checkpoints = await checkpointPlan(options, argv, cwd);
  return ok({
    argv: [program, ...rest],
    cwd,
    stateDir,
    policy,
    resume: { args: words.value },
    stdin: options.stdin ? 'inherit' : 'null',
    logs: { attemptBytes: 2 ** 30, runBytes: 5 * 2 ** 30, attempts: 10 },
    ...(options.name !== undefined && { name: options.name }),
    ...(checkpoints && { checkpoints }),
  });
}

async function checkpointPlan(
  options: RunOptions,
  argv: readonly string[],
  cwd: string,
): Promise<CheckpointPlan | undefined> {
  const layout = options.layout ?? 'auto';
  const vault = options.vault === undefined ? {} : { vault: path.resolve(cwd, options.vault) };
  const named = options.checkpointDir?.[0];
  if (named !== undefined) {
    const dir = /^[a-z][a-z0-9+.-]*:\/\//i.test(named) ? named : path.resolve(cwd, named);
    return { dir, guessed: false, layout, words: '--checkpoint-dir', ...vault };
  }
  const found = await discoverCheckpointDir(argv, cwd);
  return found && { dir: found.dir, guessed: true, layout, words: found.words, ...vault };
}
