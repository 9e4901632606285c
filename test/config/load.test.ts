import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'; // prettier-ignore
import os from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { loadConfig, type LoadedConfig } from '../../src/config/load.js';
import type { Seeker } from '../../src/config/locate.js';
import { configJsonSchema } from '../../src/config/schema.js';
import type { Problem } from '../../src/util/result.js';

const base = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'trainguard-config-')));
after(() => rmSync(base, { recursive: true }));

let dir = base;
let next = 0;
beforeEach(() => {
  dir = path.join(base, String(next++));
  mkdirSync(path.join(dir, '.git'), { recursive: true });
});

function put(name: string, text: string): string {
  const file = path.join(dir, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

const load = (seeker: Partial<Seeker> = {}): ReturnType<typeof loadConfig> =>
  loadConfig({ cwd: dir, env: {}, ...seeker });

async function loaded(seeker: Partial<Seeker> = {}): Promise<LoadedConfig> {
  const result = await load(seeker);
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  return result.value;
}

async function refused(seeker: Partial<Seeker> = {}): Promise<Problem> {
  const result = await load(seeker);
  assert.ok(!result.ok);
  assert.equal(result.error.exit, 78);
  assert.match(result.error.message, /^[^\n]+[.?]$/, 'one sentence on one line');
  return result.error;
}

describe('finds the configuration', () => {
  const places: readonly [name: string, text: string][] = [
    ['recovery.config.json', '{"maxRetries": 7}'],
    ['recovery.config.yaml', 'maxRetries: 7\n'],
    ['recovery.config.yml', '# comment\nmaxRetries: 7\n'],
    ['recovery.config.toml', 'maxRetries = 7\n'],
    ['.trainguardrc', 'maxRetries: 7\n'],
    ['.trainguardrc', '{"maxRetries": 7}'],
    ['package.json', '{"name": "x", "trainguard": {"maxRetries": 7}}'],
    ['pyproject.toml', '[project]\nname = "x"\n[tool.trainguard]\nmaxRetries = 7\n'],
  ];
  for (const [name, text] of places) {
    test(`${name}: ${JSON.stringify(text)}`, async () => {
      const file = put(name, text);
      assert.deepEqual(await loaded(), { config: { maxRetries: 7 }, file, notices: [] });
    });
  }

  test('nowhere: everything by default', async () => {
    put('package.json', '{"name": "x"}');
    put('pyproject.toml', '[project]\nname = "x"\n');
    assert.deepEqual(await loaded(), { config: {}, notices: [] });
  });

  test('upwards, the nearest first', async () => {
    put('recovery.config.json', '{"maxRetries": 1}');
    mkdirSync(path.join(dir, 'a/b'), { recursive: true });
    assert.equal((await loaded({ cwd: path.join(dir, 'a/b') })).config.maxRetries, 1);
    put('a/.trainguardrc', 'maxRetries: 2');
    assert.equal((await loaded({ cwd: path.join(dir, 'a/b') })).config.maxRetries, 2);
  });

  for (const mark of ['.git/HEAD', 'package.json', 'pyproject.toml']) {
    test(`but not above a folder with ${mark.split('/')[0]}`, async () => {
      put('recovery.config.json', '{"maxRetries": 1}');
      put(`project/${mark}`, mark === 'package.json' ? '{}' : '');
      assert.deepEqual((await loaded({ cwd: path.join(dir, 'project') })).config, {});
    });
  }

  test('nor above the home folder', async () => {
    put('recovery.config.json', '{"maxRetries": 1}');
    const home = path.join(dir, 'home');
    mkdirSync(path.join(home, 'work'), { recursive: true });
    assert.deepEqual((await loaded({ cwd: path.join(home, 'work'), env: { HOME: home } })).config, {});
  });

  test('by name: the flag, then TRAINGUARD_CONFIG', async () => {
    put('recovery.config.json', '{"maxRetries": 1}');
    put('other.yaml', 'maxRetries: 2');
    put('third.toml', 'maxRetries = 3');
    const env = { TRAINGUARD_CONFIG: path.join(dir, 'third.toml') };
    assert.equal((await loaded({ file: 'other.yaml', env })).config.maxRetries, 2);
    assert.equal((await loaded({ env })).config.maxRetries, 3);
  });

  test('inside a worker the environment names none', async () => {
    put('third.toml', 'maxRetries = 3');
    const env = { TRAINGUARD_CONFIG: path.join(dir, 'third.toml'), TRAINGUARD_RUN_ID: 'outer' };
    assert.deepEqual((await loaded({ env })).config, {});
  });

  test('never runs anything: not its own format, not a .config/config.js of the working directory', async () => {
    const trace = path.join(dir, 'ran');
    const code = `require('node:fs').writeFileSync(${JSON.stringify(trace)}, '')`;
    for (const name of ['recovery.config.js', 'recovery.config.cjs', '.trainguardrc.js', '.config/config.js', '.config/config.cjs']) put(name, code); // prettier-ignore
    put('recovery.config.yaml', 'maxRetries: 4');
    const before = process.cwd();
    process.chdir(dir);
    try {
      assert.equal((await loaded()).config.maxRetries, 4);
    } finally {
      process.chdir(before);
    }
    assert.ok(!existsSync(trace));
  });
});

test('reads every key of the contract', async () => {
  put(
    'recovery.config.yaml',
    `command: [python, train.py]
name: digits
stateDir: state
maxRetries: 5
maxTotalRetries: 50
stopOnRepeat: false
outageWindow: 1h
rollbackEnabled: false
backoff: { initial: 500ms, factor: 1.5, max: 2m, jitter: 0 }
heartbeat: { startupTimeout: 45m, timeout: auto, pattern: 'it (?<step>\\d+)', files: [tb] }
health: { spike: rollback, nonFinite: warn }
stop: { signal: SIGUSR1, grace: 90 }
checkpoints:
  dir: [out/a, s3://bucket/x, /abs]
  layout: huggingface
  settle: 1s
  provenAfter: 3m
  verify: deep
  include: [loader.json]
  clean: [tmp]
  keep: { last: 3 }
  vault: vault
resume:
  args: [--resume, "{path}"]
  env: { RESUME: "1" }
  replace: { scratch: resume }
failures:
  - match: { exitCodes: [42], signals: [TERM], pattern: boom }
    kind: preempted
    action: ignore
preflight: [[nvidia-smi], { command: [./check, --all], timeout: 5m }]
hooks: { onFailure: [echo, failed], onComplete: { command: [./done] } }
notify: ["https://example.org/hook", ./tell me, [./tell, me]]
serve: { port: 8471, host: 10.0.0.1, allowHosts: [head], tlsCert: cert.pem, tlsKey: /abs/key.pem, insecure: false }
logs: { keep: { attempt: 512MiB, run: 2GB, attempts: 3 }, dir: logs }
engine: local
allowScratch: true
`,
  );
  const { config, notices } = await loaded();
  const at = (name: string): string => path.join(dir, name);
  assert.deepEqual(config, {
    command: ['python', 'train.py'],
    name: 'digits',
    stateDir: at('state'),
    maxRetries: 5,
    maxTotalRetries: 50,
    stopOnRepeat: false,
    outageWindow: 3_600_000,
    rollbackEnabled: false,
    backoff: { initial: 500, factor: 1.5, max: 120_000, jitter: 0 },
    heartbeat: { startupTimeout: 2_700_000, timeout: 'auto', pattern: 'it (?<step>\\d+)', files: [at('tb')] },
    health: { spike: 'rollback', nonFinite: 'warn' },
    stop: { signal: 'SIGUSR1', grace: 90_000 },
    checkpoints: {
      dir: [at('out/a'), 's3://bucket/x', '/abs'],
      layout: 'huggingface',
      settle: 1000,
      provenAfter: 180_000,
      verify: 'deep',
      include: [at('loader.json')],
      clean: [at('tmp')],
      keep: { last: 3 },
      vault: at('vault'),
    },
    resume: { args: ['--resume', '{path}'], env: { RESUME: '1' }, replace: { scratch: 'resume' } },
    failures: [
      {
        match: { exitCodes: [42], signals: ['SIGTERM'], pattern: 'boom' },
        kind: 'preempted',
        action: 'ignore',
      },
    ],
    preflight: [['nvidia-smi'], { command: ['./check', '--all'], timeout: 300_000 }],
    hooks: { onFailure: ['echo', 'failed'], onComplete: { command: ['./done'] } },
    notify: ['https://example.org/hook', './tell me', ['./tell', 'me']],
    serve: {
      ...{ port: 8471, host: '10.0.0.1', allowHosts: ['head'] },
      ...{ tlsCert: at('cert.pem'), tlsKey: '/abs/key.pem', insecure: false },
    },
    logs: { keep: { attempt: 512 * 1024 ** 2, run: 2e9, attempts: 3 }, dir: at('logs') },
    engine: 'local',
    allowScratch: true,
  });
  assert.doesNotMatch(notices.join('\n'), /preflight|hooks|notify/);
});

describe('says in one sentence what is wrong', () => {
  type Bad = readonly [name: string, text: string, message: RegExp];
  const bad: readonly Bad[] = [
    // unknown keys
    ['recovery.config.json', '{\n  "maxRetrys": 3\n}', /recovery\.config\.json, line 2: there is no key maxRetrys; did you mean maxRetries\?$/],
    ['recovery.config.json', '{\n "backoff": {\n  "max": 3,\n  "intial": 3}}', /line 4: there is no key backoff\.intial; did you mean backoff\.initial\?$/],
    ['recovery.config.json', '{"timeout": 3}', /line 1: there is no key timeout; did you mean heartbeat\.timeout\?$/],
    ['recovery.config.json', '{"stop": {"banana": 3}}', /there is no key stop\.banana; known here: signal, grace\.$/],
    ['recovery.config.yaml', 'maxRetries: 3\nbackof:\n  initial: 3\n', /yaml, line 2: there is no key backof; did you mean backoff\?$/],
    ['recovery.config.yaml', 'backoff:\n  # soon\n  factor: 2\n  maximum: 3\n', /line 4: there is no key backoff\.maximum/],
    ['recovery.config.toml', 'maxRetries = 3\n\n[checkpoints]\nlayuot = "generic"\n', /toml, line 4: there is no key checkpoints\.layuot; did you mean checkpoints\.layout\?$/],
    ['pyproject.toml', '[project]\nname = "x"\n[tool.trainguard.stop]\ngrase = 3\n', /pyproject\.toml, line 4: there is no key stop\.grase; did you mean stop\.grace\?$/],
    ['package.json', '{\n"name": "x",\n"trainguard": {\n"nam": "y"}}', /package\.json, line 4: there is no key nam; did you mean name\?$/],
    // wrong types and numbers
    ['recovery.config.json', '{"maxRetries": -1}', /line 1: maxRetries must be a whole number from 0 to 1000000, not -1\.$/],
    ['recovery.config.json', '{"maxRetries": "3"}', /maxRetries must be a whole number from 0 to 1000000, not "3"\.$/],
    ['recovery.config.json', '{"maxRetries": 2.5}', /not 2\.5\.$/],
    ['recovery.config.json', '{"maxRetries": 1e308}', /not 1e\+308\.$/],
    ['recovery.config.json', '{"maxRetries": null}', /not null\.$/],
    ['recovery.config.yaml', 'maxRetries: .nan\n', /maxRetries must be .*, not NaN\.$/],
    ['recovery.config.yaml', 'backoff:\n  initial: .inf\n', /line 2: backoff\.initial must be a time such as .*, not Infinity\.$/],
    ['recovery.config.json', '{"backoff": {"initial": -3}}', /backoff\.initial must be a time .*, not -3\.$/],
    ['recovery.config.json', '{"backoff": {"initial": "soon"}}', /backoff\.initial must be a time such as '500ms', '30s', '5m' or '2h', or a number of seconds, up to 24 days, not "soon"\.$/],
    ['recovery.config.json', '{"backoff": {"max": "400d"}}', /up to 24 days, not "400d"\.$/],
    ['recovery.config.json', '{"backoff": {"factor": 0.5}}', /backoff\.factor must be a number from 1 to 100, not 0\.5\.$/],
    ['recovery.config.json', '{"backoff": 3}', /backoff must be a table of settings, not 3\.$/],
    ['recovery.config.json', '{"heartbeat": {"timeout": 0}}', /heartbeat\.timeout must be "auto", or a time .*, not 0\.$/],
    ['recovery.config.json', '{"heartbeat": {"pattern": "("}}', /heartbeat\.pattern must be a regular expression, not "\("\.$/],
    ['recovery.config.json', '{"stopOnRepeat": true}', /stopOnRepeat must be a whole number from 2 to 1000, or false, not true\.$/],
    ['recovery.config.json', '{"rollbackEnabled": "no"}', /rollbackEnabled must be true or false, not "no"\.$/],
    ['recovery.config.json', '{"command": "python train.py"}', /command must be a list: the program and its arguments, one by one, not "python train\.py"\.$/],
    ['recovery.config.json', '{"command": []}', /command must name a program, not \[\]\.$/],
    ['recovery.config.json', '{"name": "../x"}', /name must be a plain name, without slashes and not \. or \.\., not "\.\.\/x"\.$/],
    ['recovery.config.json', '{"stop": {"signal": "SIGKILL"}}', /stop\.signal must be "SIGTERM" or .*, not "SIGKILL"\.$/],
    ['recovery.config.json', '{"failures": [\n{"match": {"exitCodes": [1]}},\n{"match": {}}]}', /line 3: failures\[1\]\.match must name exitCodes, signals or a pattern, not \{\}\.$/],
    ['recovery.config.yaml', 'failures:\n  - match:\n      exitCodes: [1]\n  - match:\n      exitCodes: [300]\n', /line 5: failures\[1\]\.match\.exitCodes\[0\] must be a whole number from 0 to 255, not 300\.$/],
    ['recovery.config.yaml', 'failures:\n- match: {exitCodes: [1]}\n- match:\n    pattern: x\n  action: go\nmaxRetries: 3\n', /line 5: failures\[1\]\.action must be/],
    ['recovery.config.yaml', '{"maxRetries": 3,\n "namee": "x"}\n', /line 2: there is no key namee/],
    ['recovery.config.yaml', 'backoff: {\n  intial: 3 }\n', /recovery\.config\.yaml(, line 2)?: there is no key backoff\.intial/],
    ['recovery.config.toml', '[[failures]]\nmatch = { exitCodes = [1] }\n[[failures]]\nmatch = { exitCodes = [1] }\nkind = "bad"\n', /line 5: failures\[1\]\.kind must be "command" or .*, not "bad"\.$/],
    ['recovery.config.json', '{"logs": {"keep": {"attempt": "lots"}}}', /logs\.keep\.attempt must be a size such as '512MiB' or '1GiB', or a number of bytes, not "lots"\.$/],
    ['recovery.config.json', '{"checkpoints": {"keep": {"last": 1}}}', /checkpoints\.keep\.last must be a whole number from 2 to 1000000, not 1\.$/],
    ['recovery.config.json', '{"checkpoints": {"keep": {"within": "long"}}}', /checkpoints\.keep\.within must be an age such as '12h' or '30d', or a number of seconds, up to 100 years, not "long"\.$/],
    ['recovery.config.json', '{"checkpoints": {"keep": {"everyTime": 0}}}', /checkpoints\.keep\.everyTime must be longer than nothing, not 0\.$/],
    ['recovery.config.json', '{"checkpoints": {"keep": {"mode": "best"}}}', /checkpoints\.keep\.mode must be "min" or "max", not "best"\.$/],
    ['recovery.config.json', '{\n"hooks": {\n"onFailur": ["x"]}}', /line 3: there is no key hooks\.onFailur; did you mean hooks\.onFailure\?$/],
    ['recovery.config.json', '{"hooks": {"onFailure": "./x"}}', /hooks\.onFailure must be a list: the program and its arguments, one by one; or a table of command \(that list\) and timeout, not "\.\/x"\.$/],
    ['recovery.config.json', '{"preflight": ["nvidia-smi"]}', /preflight\[0\] must be a list: .*, not "nvidia-smi"\.$/],
    ['recovery.config.json', '{"preflight": [{"command": ["x"], "timeout": "0s"}]}', /preflight\[0\]/],
    ['recovery.config.json', '{"notify": "https://x"}', /notify must be a list of URLs and commands, not "https:\/\/x"\.$/],
    ['recovery.config.json', '{"notify": [3]}', /notify\[0\] must be an http or https URL, a command, or a list: .*, not 3\.$/],
    ['recovery.config.json', '[1]', /recovery\.config\.json must hold a table of settings\.$/],
    ['recovery.config.json', `{"name": ${JSON.stringify('x'.repeat(500))}}`, /not "x{50,60}….$/],
    // syntax
    ['recovery.config.json', '{\n  "maxRetries": 3,\n}', /recovery\.config\.json, line 3 is not valid JSON: "}" is not expected there\.$/],
    ['recovery.config.json', '{\n  "maxRetries": tru\n}', /line 2 is not valid JSON/],
    ['recovery.config.json', '{\n  "maxRetries": 3\n', /line 3 is not valid JSON: it ends too early\.$/],
    ['recovery.config.json', '', /line 1 is not valid JSON: it ends too early\.$/],
    ['recovery.config.json', '{"a": "\u0001"}', /line 1 is not valid JSON/],
    ['recovery.config.yaml', 'maxRetries: 3\nbackoff: {initial: 3\n', /recovery\.config\.yaml, line 3 is not valid YAML: /],
    ['recovery.config.yaml', 'maxRetries: 3\nmaxRetries: 4\n', /line 2 is not valid YAML: duplicated mapping key\.$/],
    ['recovery.config.toml', 'maxRetries = 3\nbackoff = = 3\n', /recovery\.config\.toml, line 2 is not valid TOML: /],
    ['package.json', '{"trainguard": {"maxRetries": 3}', /package\.json, line 1 is not valid JSON/],
  ]; // prettier-ignore
  for (const [name, text, message] of bad) {
    test(`${name}: ${JSON.stringify(text).slice(0, 80)}`, async () => {
      put(name, text);
      assert.match((await refused()).message, message);
    });
  }

  test('a named file that is not there', async () => {
    assert.match((await refused({ file: 'no.yaml' })).message, /no\.yaml does not exist/);
  });

  test('a folder of that name', async () => {
    mkdirSync(path.join(dir, 'recovery.config.json'));
    assert.match((await refused()).message, /is not a file/);
  });

  test('a file that is far too large', async () => {
    put('recovery.config.json', `{"name": "${'x'.repeat(1024 * 1024)}"}`);
    assert.match((await refused()).message, /larger than 1 MiB/);
  });

  test('a file that may not be read', { skip: process.getuid?.() === 0 }, async () => {
    chmodSync(put('recovery.config.json', '{}'), 0);
    assert.match((await refused()).message, /cannot be read/);
  });

  test('a file of another user', async () => {
    const file = put('recovery.config.json', '{}');
    const owner = statSync(file).uid;
    if (owner === 0) return; // root's files are trusted by everybody; see the next test
    assert.match((await refused({ uid: owner + 1 })).message, /belongs to another user/);
  });

  test('a file of another user, seen by root', { skip: process.getuid?.() !== 0 }, async () => {
    const { chownSync } = await import('node:fs');
    const file = put('recovery.config.json', '{"maxRetries": 9}');
    chownSync(file, 1234, 1234);
    assert.match(
      (await refused()).message,
      /belongs to another user \(uid 1234\) and is not trusted; make it yours/,
    );
    assert.equal((await loaded({ uid: 1234 })).config.maxRetries, 9);
    chownSync(file, 0, 0);
    assert.equal((await loaded({ uid: 1234 })).config.maxRetries, 9, "root's is trusted");
  });
});

test('the example is valid and says nothing that is not acted upon', async () => {
  const root = [path.resolve(import.meta.dirname, '../../../'), path.resolve(import.meta.dirname, '../../')].find((at) => existsSync(path.join(at, 'recovery.config.example.json')))!; // prettier-ignore
  put('recovery.config.json', readFileSync(path.join(root, 'recovery.config.example.json'), 'utf8'));
  const { config, notices } = await loaded();
  assert.deepEqual(notices, []);
  assert.deepEqual(config.command, ['python', 'train.py']);
});

test('the published JSON schema lists every key', () => {
  const schema = configJsonSchema() as { properties: Record<string, unknown>; additionalProperties: unknown };
  const keys = 'command name stateDir maxRetries maxTotalRetries stopOnRepeat outageWindow rollbackEnabled backoff heartbeat health stop checkpoints resume failures preflight hooks notify serve logs engine allowScratch'; // prettier-ignore
  assert.deepEqual(
    Object.keys(schema.properties)
      .filter((key) => key !== '$schema')
      .toSorted(),
    keys.split(' ').toSorted(),
  );
  assert.equal(schema.additionalProperties, false);
});
