// Hangs real Python programs in four ways (fixtures/hang) and asks whether stacks.txt and the journal name the line: by
// py-spy, and without it by faulthandler and by the kernel alone. Prints a table, exits 1 if one is missing.
// `npm run build && node test/chaos/hang-evidence.mjs [-v]`   -v: prints each stacks.txt
// py-spy is installed into ~/.cache/trainguard-ci/py-spy unless it is there (TRAINGUARD_PYSPY names another folder).
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const venv = process.env.TRAINGUARD_PYSPY ?? path.join(homedir(), '.cache/trainguard-ci/py-spy');
const pySpyVersion = '0.4.1';
const verbose = process.argv.includes('-v');

const cases = [
  {
    script: 'deadlock.py',
    by: 'py-spy',
    top: /^take_lock \(deadlock\.py line 15\)$/,
    shows: /keep \(.*:11\)/,
  },
  {
    script: 'blocked_read.py',
    by: 'py-spy',
    top: /^read_batch \(blocked_read\.py line 7\)$/,
    shows: /read on pipe:/,
  },
  {
    script: 'data_loader.py',
    by: 'py-spy',
    top: /^train \(data_loader\.py line 15\)$/,
    shows: /fetch_item \(.*:10\)/,
  },
  {
    script: 'native_sleep.py',
    by: 'py-spy',
    top: /^all_reduce \(native_sleep\.py line 9\)$/,
    shows: /pause|ppoll/,
  },
  {
    ...{ script: 'native_sleep.py', argument: 'faulthandler', by: 'faulthandler' },
    ...{ top: /^all_reduce \(native_sleep\.py line 9\)$/, shows: /most recent call first/ },
  },
  {
    script: 'blocked_read.py',
    by: 'proc',
    top: /^the system call read on pipe:\[\d+\]$/,
    shows: /thread \d+ python/,
  },
];

function installPySpy() {
  if (existsSync(path.join(venv, 'bin/py-spy'))) return;
  const run = (program, ...args) => {
    const { status } = spawnSync(program, args, { stdio: ['ignore', 2, 2] });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed`);
  };
  run('python3', '-m', 'venv', '--clear', venv);
  run(path.join(venv, 'bin/python'), '-m', 'pip', 'install', '--quiet', `py-spy==${pySpyVersion}`);
}

/** Ours, and where a case is to go without py-spy no folder that has it. */
function environment(withPySpy) {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(TRAINGUARD|SLURM|KUBERNETES)_|^VIRTUAL_ENV$/.test(name),
    ),
  );
  const dirs = (env.PATH ?? '')
    .split(':')
    .filter((dir) => withPySpy || !existsSync(path.join(dir, 'py-spy')));
  return { ...env, PATH: dirs.join(':') };
}

function superviseHang({ script, argument, by }, cwd) {
  return new Promise((resolve, reject) => {
    const python = by === 'py-spy' ? path.join(venv, 'bin/python') : 'python3';
    const flags = ['--heartbeat-timeout', '3s', '--stop-grace', '1s', '--max-retries', '0', '--name', 'hang'];
    const training = [python, path.join(root, 'fixtures/hang', script), ...(argument ? [argument] : [])];
    const argv = [path.join(root, 'bin/trainguard.js'), 'run', ...flags, '--', ...training];
    const options = { cwd, env: environment(by === 'py-spy'), stdio: ['ignore', 'ignore', 'pipe'] };
    const child = spawn(process.execPath, argv, options);
    let said = '';
    child.stderr.on('data', (chunk) => (said += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, said }));
  });
}

const textOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

installPySpy();
let missing = 0;
console.log('script            by            exit  seconds  stacks.txt  top');
for (const one of cases) {
  const cwd = mkdtempSync(path.join(tmpdir(), 'hang-evidence-'));
  const begun = performance.now();
  const { code, said } = await superviseHang(one, cwd);
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  const run = path.join(cwd, '.trainguard/runs/hang');
  const stacks = textOf(path.join(run, 'attempts/000/stacks.txt'));
  const events = textOf(path.join(run, 'journal.jsonl'))
    .split('\n')
    .filter((line) => line.includes('"exited"'));
  rmSync(cwd, { recursive: true, force: true });
  const summary = /"stacks":(\{[^}]*\})/.exec(events.join('\n'))?.[1];
  const { by = 'nothing', top = '' } = summary === undefined ? {} : JSON.parse(summary);
  const shown = one.shows.test(stacks);
  const right = code === 124 && by === one.by && one.top.test(top) && shown;
  if (!right) missing++;
  console.log(
    `${one.script.padEnd(18)}${by.padEnd(14)}${String(code).padEnd(6)}${seconds.padStart(7)}  ` +
      `${(shown ? 'shows it' : 'LACKS IT').padEnd(12)}${top}${right ? '' : `   WRONG: expected ${one.by}, ${one.top}`}`,
  );
  if (verbose || !right) console.log(`${stacks}\n${right ? '' : said}`);
}
console.log(missing === 0 ? 'all found' : `${missing} missing`);
process.exit(missing === 0 ? 0 : 1);
