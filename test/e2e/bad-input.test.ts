import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { atEnd } from '../support/cleanup.js';
import { PuppetStage } from '../support/puppet.js';
import { pythonPath } from '../support/python.js';
import { root } from '../support/root.js';
import { runCli, runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { digits, eventsOf, guard, statusOf, summaryOf, treeOf } from './kit.js';

interface Row {
  readonly what: string;
  readonly args: readonly string[];
  /** Prepares the folder that trainguard works in. */
  readonly setUp?: (cwd: string) => void;
  readonly status: number;
  /** Names the thing and the way out. */
  readonly says: readonly RegExp[];
  readonly env?: Readonly<Record<string, string>>;
  readonly skip?: string | false;
}

const file =
  (name: string, text: string, mode?: number) =>
  (cwd: string): void => {
    writeFileSync(path.join(cwd, name), text);
    if (mode !== undefined) chmodSync(path.join(cwd, name), mode);
  };
const config = (text: string): ((cwd: string) => void) => file('recovery.config.json', text);
const run = (...flags: readonly string[]): readonly string[] => ['run', ...flags, '--', 'true'];
const isRoot = process.getuid?.() === 0;

const rows: readonly Row[] = [
  // the command line
  {
    what: 'no command after --',
    args: ['run', '--'],
    status: 64,
    says: [/no command/, /-- python train\.py/],
  },
  { what: 'no command at all', args: ['run'], status: 64, says: [/no command/] },
  {
    what: 'an unknown flag',
    args: run('--max-retrys', '3'),
    status: 64,
    says: [/--max-retrys/, /--max-retries/],
  },
  { what: 'an unknown verb', args: ['stauts'], status: 64, says: [/stauts/, /status/] },
  { what: 'a flag without its value', args: ['run', '--name'], status: 64, says: [/--name/] },
  { what: 'a negative count', args: run('--max-retries', '-1'), status: 64, says: [/-1/, /whole number/] },
  {
    what: 'a count in words',
    args: run('--max-retries', 'many'),
    status: 64,
    says: [/many/, /whole number/],
  },
  { what: 'a time in words', args: run('--backoff-initial', 'soon'), status: 64, says: [/soon/, /30s/] },
  { what: 'a negative time', args: run('--heartbeat-timeout', '-5'), status: 64, says: [/-5/, /30s/] },
  {
    what: 'a layout that is none',
    args: run('--layout', 'hugingface'),
    status: 64,
    says: [/hugingface/, /huggingface/],
  },
  {
    what: 'an open quote in --resume-args',
    args: run('--resume-args', "'{path}"),
    status: 64,
    says: [/resume-args/, /quote/, /closed/],
  },
  { what: 'a run name with a slash', args: run('--name', 'a/b'), status: 64, says: [/a\/b/, /slash/] },
  { what: 'a run name with ..', args: run('--name', '..'), status: 64, says: [/\.\./] },
  { what: 'a run to stop with ..', args: ['stop', '../x'], status: 64, says: [/\.\.\/x/, /slash/] },
  { what: 'rollback without --to', args: ['rollback'], status: 64, says: [/--to/] },
  {
    what: 'an attempt that is no number',
    args: ['logs', '--attempt', 'x'],
    status: 64,
    says: [/whole number/],
  },
  // the command
  {
    what: 'a command not found',
    args: ['run', '--', 'no-such-program'],
    status: 127,
    says: [/no-such-program/, /PATH/],
  },
  { what: 'a script not there', args: ['run', '--', './train.sh'], status: 127, says: [/\.\/train\.sh/] },
  {
    what: 'a command not executable',
    args: ['run', '--', './train.sh'],
    setUp: file('train.sh', 'echo\n', 0o644),
    status: 126,
    says: [/\.\/train\.sh/, /chmod \+x|executable/],
  },
  {
    what: 'a folder as the command',
    args: ['run', '--', '/tmp'],
    status: 126,
    says: [/\/tmp/, /folder|directory/],
  },
  // the configuration
  {
    what: 'a JSON config with a syntax error',
    args: run(),
    setUp: config('{\n  "maxRetries": 3,\n  "name" "x"\n}\n'),
    status: 78,
    says: [/recovery\.config\.json, line 3/],
  },
  {
    what: 'a YAML config with a syntax error',
    args: run(),
    setUp: file('recovery.config.yaml', 'maxRetries: 3\nbackoff: [1\nname: x\n'),
    status: 78,
    says: [/recovery\.config\.yaml, line \d/],
  },
  {
    what: 'a TOML config with a syntax error',
    args: run(),
    setUp: file('recovery.config.toml', 'maxRetries = 3\nname = \n'),
    status: 78,
    says: [/recovery\.config\.toml, line 2/],
  },
  {
    what: 'an unknown key',
    args: run(),
    setUp: config('{\n  "name": "x",\n  "maxRetrys": 3\n}\n'),
    status: 78,
    says: [/recovery\.config\.json, line 3/, /maxRetrys/, /maxRetries/],
  },
  {
    what: 'an unknown key further in',
    args: run(),
    setUp: config('{\n  "backoff": {\n    "inital": 3\n  }\n}\n'),
    status: 78,
    says: [/line 3/, /backoff\.inital/, /backoff\.initial/],
  },
  {
    what: 'a wrong type',
    args: run(),
    setUp: config('{\n  "maxRetries": "three"\n}\n'),
    status: 78,
    says: [/line 2/, /maxRetries/, /number/, /"three"/],
  },
  {
    what: 'a negative number',
    args: run(),
    setUp: config('{ "maxRetries": -1 }'),
    status: 78,
    says: [/line 1/, /maxRetries/, /-1/],
  },
  {
    what: 'a time that is none',
    args: run(),
    setUp: config('{ "heartbeat": { "timeout": "soon" } }'),
    status: 78,
    says: [/heartbeat\.timeout/, /soon/],
  },
  {
    what: 'a config of another user',
    args: run(),
    setUp: (cwd) => {
      config('{}')(cwd);
      chownSync(path.join(cwd, 'recovery.config.json'), 12345, 12345);
    },
    status: 78,
    says: [/recovery\.config\.json/, /own/],
    skip: !isRoot && 'only root can give a file away',
  },
  {
    what: 'a config that is not there',
    args: run('--config', 'gone.json'),
    status: 78,
    says: [/gone\.json/],
  },
  {
    what: 'a config that the environment names and that is not there',
    args: run(),
    env: { TRAINGUARD_CONFIG: 'gone.json' },
    status: 78,
    says: [/gone\.json/],
  },
  // the checkpoint folder
  {
    what: 'a checkpoint folder that is a file',
    args: run('--checkpoint-dir', 'ckpts'),
    setUp: file('ckpts', 'x'),
    status: 78,
    says: [/ckpts/, /not a folder|is a file/],
  },
  {
    what: 'a checkpoint folder that cannot be made',
    args: run('--checkpoint-dir', '/proc/trainguard-ckpts'),
    status: 78,
    says: [/\/proc\/trainguard-ckpts/],
  },
  {
    what: 'a checkpoint folder that cannot be written to',
    args: run('--checkpoint-dir', '/proc/self'),
    status: 78,
    says: [/\/proc\//],
  },
  {
    what: 'a URL as the checkpoint folder',
    args: run('--checkpoint-dir', 's3://bucket/run'),
    status: 78,
    says: [/s3:\/\/bucket\/run/, /checkpoints\.remote/],
  },
  {
    what: 'a checkpoint folder inside the state folder',
    args: run('--checkpoint-dir', '.trainguard/ckpts'),
    status: 78,
    says: [/\.trainguard\/ckpts/, /state folder/, /outside/],
  },
  // the state folder
  {
    what: 'a state folder that cannot be made',
    args: run('--state-dir', '/proc/trainguard-state'),
    status: 78,
    says: [/\/proc\/trainguard-state/, /--state-dir/],
  },
  {
    what: 'a state folder that is a file',
    args: run(),
    setUp: file('.trainguard', 'x'),
    status: 78,
    says: [/\.trainguard/],
  },
  {
    what: 'a damaged run.json',
    args: run('--name', 'r'),
    setUp: (cwd) => {
      mkdirSync(path.join(cwd, '.trainguard/runs/r'), { recursive: true });
      file('.trainguard/runs/r/run.json', '{ "id": ')(cwd);
    },
    status: 125,
    says: [/run\.json is damaged/, /move .* away/],
  },
];

describe('bad input gets one clear sentence, and nothing is written', { concurrency: 4 }, () => {
  for (const { what, args, setUp, status, says, env, skip } of rows) {
    test(what, { skip: skip ?? false }, async (t) => {
      const cwd = tempDir(t);
      setUp?.(cwd);
      const before = treeOf(cwd);
      const { code, stdout, stderr } = await runCli(t, args, { cwd, env: env ?? {} }).done;
      assert.equal(code, status, stderr);
      assert.equal(stdout, '');
      for (const pattern of says) assert.match(stderr, pattern);
      assert.match(stderr, /^trainguard: \S/);
      // commander puts its suggestion on a second line
      assert.ok(stderr.trimEnd().split('\n').length <= 2, stderr);
      assert.doesNotMatch(stderr, /^ +at /m);
      assert.deepEqual(treeOf(cwd), before);
    });
  }

  test('with --json it is one object too', async (t) => {
    const { code, stdout } = await runCli(t, ['run', '--json', '--name', 'a/b', '--', 'true']).done;
    assert.equal(code, 64);
    const error = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([error['type'], error['exit']], ['error', 64]);
  });

  test('a checkpoint folder that is missing is made', async (t) => {
    const cwd = tempDir(t);
    const { code } = await runCli(t, run('--checkpoint-dir', 'a/b'), { cwd }).done;
    assert.equal(code, 0);
    assert.ok(treeOf(cwd)['a/b']);
  });

  test('a full state folder: one sentence, and what was there is still there', async (t) => {
    const cwd = tempDir(t);
    const full = path.join(cwd, 'full');
    mkdirSync(full);
    const mounted = await runProgram(t, ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', full], { cwd })
      .done;
    if (mounted.code !== 0) {
      t.skip('a small file system cannot be mounted here');
      return;
    }
    // what is registered last is done first: before the folder is removed
    atEnd(t, () => void spawnSync('umount', ['-l', full]));
    await runProgram(t, ['sh', '-c', `cat /dev/zero > ${full}/ballast`], { cwd }).done;
    const before = treeOf(full);
    const { code, stderr } = await runCli(t, run('--state-dir', full), { cwd }).done;
    assert.equal(code, 78, stderr);
    assert.match(stderr, /^trainguard: .*full.*(no space|ENOSPC|full)/im);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.deepEqual(treeOf(full), before);
  });
});

describe('heartbeats that are none', { concurrency: 2 }, () => {
  test('garbage, invalid UTF-8 and a step going back change nothing of what is known', async (t) => {
    const stage = await PuppetStage.create(t);
    const cwd = tempDir(t);
    const guarded = guard(t, stage.command, { cwd, flags: ['--name', 'play', '--heartbeat-timeout', '1h'] });
    const worker = await stage.next();
    const lines = [
      'heartbeat step=5 loss=0.5',
      'heartbeat',
      'heartbeat step=',
      'heartbeat step=abc loss=xyz',
      'heartbeat step=1e999',
      'heartbeat {"step":',
      'heartbeat {"step":{"a":[1,2',
      'heartbeat {"step":"6"',
      'heartbeat step=-3',
      'heartbeat __proto__=7 constructor=8',
      `heartbeat ${'a=1 '.repeat(5000)}`,
    ];
    await worker.stdout(`${lines.join('\n')}\n`);
    await worker.stdout(Buffer.from([0x68, 0xff, 0xfe, 0xc3, 0x28, 0x00, 0x1b, 0x5b, 0x0a]));
    await worker.stdout('heartbeat step=3 loss=0.5\nheartbeat step=4 loss=0.25\n');
    await guarded.untilStdout(/"kind":"step-went-back"/);
    await worker.exit(0);
    const ended = await guarded.done;
    assert.equal(ended.code, 0, ended.stderr);
    const { outcome, run: view } = summaryOf(ended);
    assert.deepEqual([outcome, view.step], ['completed', 4]);
    assert.equal(eventsOf(ended.stdout).filter(({ type }) => type === 'unhealthy').length, 1);
  });

  test('a line of 100 MB without an end takes no memory, and a heartbeat at its end counts', async (t) => {
    const measure = async (bytes: number): Promise<number> => {
      const cwd = tempDir(t);
      const { code, stdout } = await runProgram(
        t,
        [
          pythonPath(),
          ...['-c', peakOfChildren, process.execPath, path.join(root, 'bin', 'trainguard.js')],
          ...['run', '--quiet', '--', ...digits('--steps', '6', '--save-every', '3')],
        ],
        { cwd, env: { DIGITS_FAULT: `noeol:${bytes}@step=2` } },
      ).done;
      assert.equal(code, 0);
      assert.equal((await statusOf(t, cwd, 'digits')).step, 6);
      return Number(stdout);
    };
    const [short, long] = [await measure(100), await measure(100 * 2 ** 20)];
    assert.ok(long - short < 64, `peak memory grew from ${short} to ${long} MiB`);
  });
});

/** Runs its arguments and prints the peak memory of the largest process among them and theirs, MiB. */
const peakOfChildren = `
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
unit = 2 ** 20 if sys.platform == "darwin" else 2 ** 10
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit)
sys.exit(status)
`;
