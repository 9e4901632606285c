import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { Config } from '../../src/config/schema.js';
import { resolvePolicy, resolveSettings } from '../../src/config/resolve.js';
import { parseSize } from '../../src/config/size.js';
import { findStateDir } from '../../src/config/state-dir.js';

test('the policy without flags and configuration', () => {
  assert.deepEqual(resolvePolicy({}), {
    maxRetries: 3,
    stopOnRepeat: 3,
    outageWindowMs: 7_200_000,
    rollbackEnabled: true,
    allowScratch: false,
    backoff: { initialMs: 10_000, factor: 2, maxMs: 300_000, jitter: 0.25 },
    silence: {},
    health: { nonFinite: 'rollback', spike: 'warn', notResumed: 'stop' },
    stop: { signal: 'SIGTERM', graceMs: 30_000 },
    provenAfterMs: 120_000,
    rules: [],
  });
});

test('flags beat the configuration, which beats the defaults', () => {
  const policy = resolvePolicy(
    {
      maxRetries: 5,
      maxTotalRetries: 9,
      stopOnRepeat: 'off',
      backoff: { initial: 1000, max: 2000 },
      heartbeat: { timeout: 60_000, startupTimeout: 'auto' },
      stop: { grace: 5000 },
      failures: [{ match: { exitCodes: [1], pattern: undefined }, action: 'fail', kind: undefined }],
    },
    { maxRetries: 1, backoffInitial: 10, heartbeatTimeout: 2000 },
  );
  assert.equal(policy.maxRetries, 1);
  assert.equal(policy.maxTotalRetries, 9);
  assert.ok(!('stopOnRepeat' in policy));
  assert.deepEqual(policy.backoff, { initialMs: 10, factor: 2, maxMs: 2000, jitter: 0.25 });
  assert.deepEqual(policy.silence, { timeoutMs: 2000 });
  assert.equal(policy.stop.graceMs, 5000);
  assert.deepEqual(policy.rules, [{ match: { exitCodes: [1] }, action: 'fail' }]);
});

test('--no-rollback switches it off, the flag’s absence does not switch it on', () => {
  assert.equal(resolvePolicy({}, { rollback: false }).rollbackEnabled, false);
  assert.equal(resolvePolicy({ rollbackEnabled: false }, { rollback: true }).rollbackEnabled, false);
});

test('a longer first wait than the longest by default is waited', () => {
  assert.equal(resolvePolicy({}, { backoffInitial: 600_000 }).backoff.maxMs, 600_000);
});

describe('settings', () => {
  const here = { cwd: '/srv/project', env: {} };

  test('by default', () => {
    assert.deepEqual(resolveSettings({}, {}, here), {
      stateDir: '/srv/project/.trainguard',
      engine: 'local',
      stdin: 'null',
      checkpoints: {
        dirs: [],
        provenAfterMs: 120_000,
        verify: 'auto',
        include: [],
        clean: [],
        keep: { last: 2, folder: false, quarantine: { last: 2, withinMs: 7 * 86_400_000 } },
      },
      resume: { args: [], env: {}, replace: {} },
      heartbeat: { files: [] },
      logs: { attemptBytes: 1024 ** 3, runBytes: 5 * 1024 ** 3, attempts: 10 },
      preflight: [],
      hooks: {},
      notify: [],
    });
  });

  test('serving is asked for by the flag or by the table; the port of the flag goes first', () => {
    const serve = { host: '10.0.0.1', port: 1 };
    const asked = (config: Config, flag?: number | true): unknown =>
      resolveSettings(config, flag === undefined ? {} : { serve: flag }, here).serve;
    assert.equal(asked({}), undefined);
    assert.deepEqual(asked({}, true), {});
    assert.deepEqual(asked({}, 8471), { port: 8471 });
    assert.deepEqual(asked({ serve }), serve);
    assert.deepEqual(asked({ serve }, true), serve);
    assert.deepEqual(asked({ serve }, 8471), { ...serve, port: 8471 });
  });

  test('commands of the user: a list, or a table with a time limit; --notify replaces the list', () => {
    const config = {
      preflight: [['./check', '-q'], { command: ['./slow'], timeout: 300_000 }],
      hooks: { onFailure: ['./tell'], onGiveUp: undefined },
      notify: ['https://example.org/a'],
    };
    const { preflight, hooks, notify } = resolveSettings(config, {}, here);
    assert.deepEqual(preflight, [
      { argv: ['./check', '-q'], timeoutMs: 60_000 },
      { argv: ['./slow'], timeoutMs: 300_000 },
    ]);
    assert.deepEqual(hooks, { onFailure: { argv: ['./tell'], timeoutMs: 60_000 } });
    assert.deepEqual(notify, ['https://example.org/a']);
    assert.deepEqual(resolveSettings(config, { notify: ['./mine'] }, here).notify, ['./mine']);
  });

  test('what is kept: each rule only where it was asked for', () => {
    const keep = (config: Parameters<typeof resolveSettings>[0]): unknown =>
      resolveSettings(config, {}, here).checkpoints.keep;
    const quarantine = { last: 2, withinMs: 7 * 86_400_000 };
    assert.deepEqual(keep({ checkpoints: { keep: { last: 5, every: 1000, everyTime: 60_000, within: 1, bytes: 7 } } }), {
      ...{ last: 5, everySteps: 1000, everyMs: 60_000, withinMs: 1, bytes: 7, folder: false, quarantine },
    }); // prettier-ignore
    assert.deepEqual(keep({ checkpoints: { keep: { best: 3 } } }), {
      ...{ last: 2, best: { count: 3, metric: 'loss', mode: 'min' }, folder: false, quarantine },
    });
    assert.deepEqual(
      keep({ checkpoints: { keep: { metric: 'accuracy', mode: 'max', folder: true, quarantine: { last: 0, bytes: 1 } } } }), // prettier-ignore
      {
        ...{ last: 2, best: { count: 1, metric: 'accuracy', mode: 'max' }, folder: true },
        quarantine: { ...quarantine, last: 0, bytes: 1 },
      },
    );
  });

  test("a flag's path is relative to the working directory", () => {
    const config = { checkpoints: { dir: ['/conf/ckpts'], vault: '/conf/vault' } };
    const { checkpoints } = resolveSettings(config, {}, here);
    assert.deepEqual([checkpoints.dirs, checkpoints.vault], [['/conf/ckpts'], '/conf/vault']);
    const flags = { checkpointDir: ['out', 's3://b/x'], vault: '../v' };
    const flagged = resolveSettings(config, flags, here).checkpoints;
    assert.deepEqual([flagged.dirs, flagged.vault], [['/srv/project/out', 's3://b/x'], '/srv/v']);
  });

  test('the state folder: flag, environment, configuration, beside the configuration', () => {
    const env = { TRAINGUARD_STATE_DIR: 'by-env' };
    const config = { stateDir: '/conf/state' };
    assert.equal(
      resolveSettings(config, { stateDir: 'by-flag' }, { cwd: '/srv/project', env }).stateDir,
      '/srv/project/by-flag',
    );
    assert.equal(resolveSettings(config, {}, { cwd: '/srv/project', env }).stateDir, '/srv/project/by-env');
    const inner = { ...env, TRAINGUARD_RUN_ID: 'outer' };
    assert.equal(resolveSettings(config, {}, { cwd: '/srv/project', env: inner }).stateDir, '/conf/state');
    const beside = { ...here, configFile: '/conf/recovery.config.json' };
    assert.equal(resolveSettings({}, {}, beside).stateDir, '/conf/.trainguard');
  });
});

describe('the state folder for light commands', () => {
  const base = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'trainguard-state-dir-')));
  after(() => rmSync(base, { recursive: true }));
  const find = async (name: string, text: string, flag?: string): Promise<string> => {
    const dir = mkdtempSync(path.join(base, 'x-'));
    mkdirSync(path.join(dir, '.git'));
    mkdirSync(path.join(dir, 'sub'));
    writeFileSync(path.join(dir, name), text);
    const found = await findStateDir({ cwd: path.join(dir, 'sub'), env: {} }, flag);
    return found.ok ? path.relative(dir, found.value) : found.error.message;
  };

  test('named in the configuration, or beside it, or by flag', async () => {
    assert.equal(await find('recovery.config.json', '{"stateDir": "runs"}'), 'runs');
    assert.equal(await find('recovery.config.yaml', 'stateDir: runs'), 'runs');
    assert.equal(await find('pyproject.toml', '[tool.trainguard]\nstateDir = "runs"'), 'runs');
    assert.equal(await find('recovery.config.json', '{}'), '.trainguard');
    assert.equal(await find('recovery.config.json', '{"stateDir": "runs"}', 'here'), 'sub/here');
    assert.equal(await find('README', ''), 'sub/.trainguard');
  });

  test('a mistake elsewhere in the configuration is in nobody’s way', async () => {
    assert.equal(await find('recovery.config.json', '{"stateDir": "runs", "maxRetrys": 3}'), 'runs');
    assert.match(
      await find('recovery.config.json', '{"stateDir": 3}'),
      /stateDir must be a folder, not 3\.$/,
    );
  });
});

test('sizes', () => {
  assert.deepEqual(['512MiB', '1GB', '1.5 KiB', '7', 7, '0', '-1', '1XB', 'GiB', 1e300].map(parseSize), [
    512 * 1024 ** 2,
    1e9,
    1536,
    7,
    7,
    0,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
