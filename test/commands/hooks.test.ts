import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { createHooks, type Hooks } from '../../src/commands/hooks.js';
import type { HookSettings } from '../../src/config/resolve.js';
import type { FailureRecord } from '../../src/policy/state.js';
import { tempDir } from '../support/temp-dir.js';

const failure: FailureRecord = {
  ...{
    attempt: 2,
    at: 0,
    kind: 'network',
    step: 40,
    action: '',
    quarantined: [],
    exit: { type: 'code', code: 1 },
  },
  reason: 'the store at https://bob:secret@example.org does not answer',
  evidence: [{ text: 'WANDB_API_KEY=0123456789abcdef0123', source: 'worker-0.err.log:7' }],
};
const never = new AbortController().signal;

function hooksOf(
  t: TestContext,
  scripts: Readonly<Partial<Record<keyof HookSettings, string>>>,
): { readonly hooks: Hooks; readonly notices: string[]; readonly runDir: string } {
  const runDir = tempDir(t);
  const notices: string[] = [];
  const settings = Object.fromEntries(
    Object.entries(scripts).map(([name, script]) => [
      name,
      { argv: ['sh', '-c', script] as const, timeoutMs: 30_000 },
    ]),
  );
  const facts = { run: 'digits', runDir, stateDir: '/state', cwd: runDir, host: 'here' };
  return { hooks: createHooks(settings, facts, (text) => notices.push(text)), notices, runDir };
}

test('a hook gets the context on stdin and in its environment, without secrets', async (t) => {
  const { hooks, notices, runDir } = hooksOf(t, {
    beforeRollback: 'cat > context.json; env > env; echo told',
  });
  const rollback = { target: 'checkpoint-20', moves: ['checkpoint-40'], reason: 'it is torn' };
  const veto = await hooks.run('beforeRollback', { attempt: 2, failure, rollback, reason: 'x' }, never);
  hooks.close();
  assert.equal(veto, undefined);
  assert.deepEqual(notices, []);
  const context = JSON.parse(readFileSync(path.join(runDir, 'context.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const { failure: told, ...rest } = context as { failure: Record<string, unknown> };
  assert.deepEqual(rest, {
    ...{ schemaVersion: 1, hook: 'beforeRollback', at: context['at'], run: 'digits', host: 'here' },
    ...{ runDir, stateDir: '/state', cwd: runDir, attempt: 2, reason: 'x', rollback },
  });
  assert.equal(told['reason'], 'the store at https://***@example.org does not answer');
  assert.deepEqual(told['evidence'], [{ text: 'WANDB_API_KEY=***', source: 'worker-0.err.log:7' }]);
  assert.equal(told['kind'], 'network');
  const env = readFileSync(path.join(runDir, 'env'), 'utf8').split('\n');
  for (const line of [
    ...['TRAINGUARD_HOOK=beforeRollback', 'TRAINGUARD_RUN=digits', `TRAINGUARD_RUN_DIR=${runDir}`],
    ...['TRAINGUARD_STATE_DIR=/state', 'TRAINGUARD_ATTEMPT=2', 'TRAINGUARD_FAILURE_KIND=network'],
    ...['TRAINGUARD_FAILURE_STEP=40', 'TRAINGUARD_CHECKPOINT=checkpoint-20', 'TRAINGUARD_REASON=x'],
  ])
    assert.ok(env.includes(line), line);
  assert.match(readFileSync(path.join(runDir, 'hooks.log'), 'utf8'), /beforeRollback: exit 0 .*\ntold\n$/);
});

test('what a training wrote does not keep a hook from being called', async (t) => {
  const { hooks, notices, runDir } = hooksOf(t, {
    onFailure: 'printf %s "$TRAINGUARD_FAILURE_REASON" > reason',
  });
  const reason = `bad byte \0 in header ${'x'.repeat(1024 * 1024)}`;
  await hooks.run('onFailure', { attempt: 2, failure: { ...failure, reason } }, never);
  assert.deepEqual(notices, []);
  assert.match(readFileSync(path.join(runDir, 'reason'), 'utf8'), /^bad byte \\0 in header x+$/);
});

test('what is not known is not in the environment', async (t) => {
  const { hooks, runDir } = hooksOf(t, { onComplete: 'env > env' });
  await hooks.run('onComplete', { attempt: 0 }, never);
  const env = readFileSync(path.join(runDir, 'env'), 'utf8');
  assert.match(env, /^TRAINGUARD_ATTEMPT=0$/m);
  assert.doesNotMatch(env, /TRAINGUARD_(?:FAILURE|CHECKPOINT|REASON|RUN_ID)/);
});

test('exit 125 says that the failure is permanent; any other failure of a hook is said and changes nothing', async (t) => {
  const { hooks, notices } = hooksOf(t, {
    onFailure: 'echo the data set is gone; exit 125',
    onGiveUp: 'echo nobody home >&2; exit 7',
  });
  assert.equal(
    await hooks.run('onFailure', { attempt: 2, failure }, never),
    'hook onFailure says that the failure is permanent (exit 125): the data set is gone',
  );
  assert.deepEqual(notices, []);
  assert.equal(await hooks.run('onGiveUp', { attempt: 2 }, never), undefined);
  assert.deepEqual(notices, [
    'hook onGiveUp failed and changes nothing: exit 7: nobody home (its output: hooks.log)',
  ]);
});

test('a hook that is not there is said once; one that was not asked for is nothing', async (t) => {
  const notices: string[] = [];
  const runDir = tempDir(t);
  const facts = { run: 'digits', runDir, stateDir: '/state', cwd: runDir, host: 'here' };
  const hooks = createHooks({ onFailure: { argv: ['./none'], timeoutMs: 1000 } }, facts, (text) =>
    notices.push(text),
  );
  assert.equal(await hooks.run('onFailure', { attempt: 0 }, never), undefined);
  assert.equal(await hooks.run('onFailure', { attempt: 1 }, never), undefined);
  assert.equal(await hooks.run('onComplete', { attempt: 1 }, never), undefined);
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? '', /hook onFailure failed and changes nothing: .*\.\/none was not found/);
});
