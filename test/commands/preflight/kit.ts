import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createPreflight } from '../../../src/commands/preflight/check-host.js';
import type { UserCommand } from '../../../src/config/resolve.js';
import type { FailureKind } from '../../../src/failure/types.js';
import type { FailureRecord } from '../../../src/policy/state.js';
import type { HostAnswer, HostQuestion } from '../../../src/supervisor/parts.js';
import { atEnd, type TestEnd } from '../../support/cleanup.js';
import { tempDir } from '../../support/temp-dir.js';

export const failureOf = (kind: FailureKind, reason = 'it failed'): FailureRecord => ({
  ...{ attempt: 3, at: 0, kind, reason, evidence: [], action: '', quarantined: [] },
  exit: { type: 'code', code: 1 },
});

export const question = (
  after: FailureKind | undefined,
  waitedMs = 0,
  change: Partial<HostQuestion> = {},
): HostQuestion => ({
  after,
  ...(after && { failure: failureOf(after) }),
  saveBytes: undefined,
  waitedMs,
  signal: new AbortController().signal,
  ...change,
});

export interface Scene {
  readonly close: () => Promise<void>;
  readonly dir: string;
  readonly notices: readonly string[];
  /** What is asked after a failure of this kind when it has been waited for so long; again where checks take long. */
  readonly ask: (
    after: FailureKind | undefined,
    waitedMs?: number,
    change?: Partial<HostQuestion>,
  ) => Promise<HostAnswer>;
  /** The same, once. */
  readonly askOnce: (
    after: FailureKind | undefined,
    waitedMs?: number,
    change?: Partial<HostQuestion>,
  ) => Promise<HostAnswer>;
}

/** A preflight in a folder of its own, on a host without GPUs unless `env` says otherwise. */
export function scene(
  t: TestEnd,
  options: {
    readonly dir?: string;
    readonly argv?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly checks?: readonly (UserCommand | string)[];
    readonly checkpointDirs?: readonly string[];
  } = {},
): Scene {
  const dir = options.dir ?? tempDir(t);
  const notices: string[] = [];
  const preflight = createPreflight({
    facts: { run: 'digits', runDir: dir, stateDir: dir, cwd: dir, host: 'here' },
    argv: options.argv ?? ['python', 'train.py'],
    env: { PATH: '/usr/bin:/bin', CUDA_VISIBLE_DEVICES: '', ...options.env },
    checks: (options.checks ?? []).map((check) =>
      typeof check === 'string' ? { argv: ['sh', '-c', check], timeoutMs: 30_000 } : check,
    ),
    checkpointDirs: () => options.checkpointDirs ?? [],
    notice: (text) => notices.push(text),
  });
  atEnd(t, () => preflight.close());
  const askOnce: Scene['askOnce'] = (...of) => preflight.checkHost(question(...of));
  return {
    close: () => preflight.close(),
    dir,
    notices,
    askOnce,
    async ask(...of) {
      for (;;) {
        const answer = await askOnce(...of);
        if (answer.type !== 'wait' || answer.for !== 'the preflight checks to end') return answer;
      }
    },
  };
}

/** A program that answers as nvidia-smi does, with what it is told to. */
export interface FakeSmi {
  /** The environment in which it is found. */
  readonly env: Readonly<Record<string, string>>;
  says(what: {
    readonly gpus: string;
    readonly apps?: string;
    readonly list?: string;
    readonly code?: number;
  }): void;
}

export function fakeSmi(t: TestEnd): FakeSmi {
  const dir = tempDir(t);
  const program = path.join(dir, 'nvidia-smi');
  writeFileSync(
    program,
    `#!/bin/sh
case "$1" in
  --query-gpu=index,uuid,memory.used,memory.total) cat ${dir}/gpus; exit "$(cat ${dir}/code)" ;;
  --query-compute-apps=gpu_uuid,pid,used_memory,process_name) cat ${dir}/apps ;;
  -L) cat ${dir}/list ;;
  *) exit 2 ;;
esac
`,
  );
  chmodSync(program, 0o755);
  atEnd(t, () => rmSync(program, { force: true }));
  return {
    env: { PATH: `${dir}:/usr/bin:/bin` },
    says({ gpus, apps = '', list = '', code = 0 }) {
      for (const [name, text] of Object.entries({ gpus, apps, list, code: String(code) }))
        writeFileSync(path.join(dir, name), text);
    },
  };
}
