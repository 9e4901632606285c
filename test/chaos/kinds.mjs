// Each kind of failure once for real (or by its documented text), under the defaults but for a short backoff: the kind
// that is found, what is done, how many steps are done twice. Prints a Markdown table, exits 1 on a difference.
// `npm run build && node test/chaos/kinds.mjs [--only TEXT] [--slow] [--markdown FILE]`
import { execFileSync, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cases } from './kinds/cases.mjs';

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, slow: { type: 'boolean' }, markdown: { type: 'string' } },
});
const root = fileURLToPath(new URL('../../', import.meta.url));
const trainer = path.join(root, 'test', 'chaos', 'kinds', 'train.py');
const clean = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(TRAINGUARD|DIGITS|SLURM|KUBERNETES|CAUSE)_/.test(name)),
);

/** Runs one case to its end: the summary of `run --json`. */
async function play(one, cwd) {
  const script = path.join(cwd, 'train.py');
  writeFileSync(script, readFileSync(trainer, 'utf8').replace('os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."', JSON.stringify(root))); // prettier-ignore
  const env = { ...clean, ...surroundings(one, cwd) };
  if (one.act === 'nfs') writeFileSync(path.join(cwd, 'shared_code.py'), '');
  if (one.at === 'start') prepend(script, one.code);
  if (one.act === 'nfs') prepend(script, 'import shared_code');
  const training = [
    'python3',
    script,
    '--steps',
    '60',
    '--save-every',
    '10',
    '--step-time',
    '0.02',
    ...(one.args ?? []),
  ];
  const flags = [
    '--checkpoint-dir',
    'ckpts',
    ...(one.awayMs === undefined ? ['--backoff-initial', '0.5'] : []),
    '--heartbeat-timeout',
    '5',
    '--startup-timeout',
    '60',
  ];
  const argv = [
    path.join(root, 'bin', 'trainguard.js'),
    'run',
    '--json',
    ...flags,
    '--',
    ...(one.command ?? training),
  ];
  const child = spawn(process.execPath, argv, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const cgroup = one.act === 'cgroup' ? enterCgroup(child.pid) : undefined;
  if (one.act === 'cgroup' && !cgroup) {
    child.kill('SIGKILL');
    return { impossible: 'no memory cgroup can be made here (needs root)' };
  }
  let out = '';
  let err = '';
  let seen = 0;
  const act = actor(one, cwd, child);
  child.stdout.on('data', (chunk) => {
    out += chunk;
    const lines = out.split('\n');
    for (const line of lines.slice(seen, -1)) act(JSON.parse(line));
    seen = lines.length - 1;
  });
  child.stderr.on('data', (chunk) => (err += chunk));
  await new Promise((resolve) => child.on('close', resolve));
  if (cgroup) leaveCgroup(cgroup);
  const last = out.trimEnd().split('\n').at(-1);
  return { summary: last ? JSON.parse(last) : undefined, err };
}

function surroundings(one, cwd) {
  const code = one.at === 'start' ? undefined : one.act === 'cgroup' ? 'hog = b"x" * (1 << 30)' : one.code;
  return {
    ...(code && { CAUSE_CODE: code, CAUSE_ATTEMPTS: one.attempts ?? '0' }),
    ...(one.fault && { DIGITS_FAULT: one.fault }),
    ...((one.act === 'rot' || one.act === 'preempt' || one.act === 'interrupt') && {
      DIGITS_FAULT: 'hang@step=45',
    }),
    ...((one.act === 'nfs' || one.act === 'edit') && { DIGITS_FAULT: 'crash@step=45' }),
    ...(one.act === 'preempt' && { SLURM_JOB_ID: '4711' }),
    PYTHONPATH: cwd,
    PYTHONDONTWRITEBYTECODE: '1',
  };
}

/** What is done to the run from outside, as its events come. */
function actor(one, cwd, child) {
  let failures = 0;
  let pid;
  let done = false;
  const [there, away] = [path.join(cwd, 'shared_code.py'), path.join(cwd, 'away')];
  return (event) => {
    if (event.type === 'launched') pid = event.pid;
    if (event.type === 'exited') failures++;
    const saved = event.type === 'checkpoint-verified' && /40/.test(event.checkpoint.id);
    if (one.act === 'nfs' && one.awayMs === undefined) {
      if (event.type === 'progressed' && failures === 0) renameSync(there, away);
      if (event.type === 'exited' && failures === 4) renameSync(away, there);
    }
    if (one.awayMs !== undefined && event.type === 'progressed' && failures === 0) {
      renameSync(there, away);
      setTimeout(() => renameSync(away, there), one.awayMs);
    }
    if (one.act === 'edit' && event.type === 'progressed' && !done) {
      done = true;
      prepend(path.join(cwd, 'train.py'), one.edit);
    }
    if (!saved || done) return;
    if (one.act === 'rot') {
      rot(path.join(cwd, 'ckpts', event.checkpoint.id));
      process.kill(pid, 'SIGKILL');
    }
    if (one.act === 'preempt') child.kill('SIGTERM');
    if (one.act === 'interrupt') child.kill('SIGINT');
    done = true;
  };
}

const prepend = (file, line) => writeFileSync(file, `${line}\n${readFileSync(file, 'utf8')}`);

/** Turns a byte and leaves the stat as it was. */
function rot(file) {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] ^= 0xff;
  execFileSync('touch', ['-r', file, `${file}.stat`]);
  writeFileSync(file, bytes);
  execFileSync('touch', ['-r', `${file}.stat`, file]);
  unlinkSync(`${file}.stat`);
}

/** A memory cgroup (v1 or v2) around the supervisor and its training; undefined: none can be made here. */
function enterCgroup(pid) {
  for (const [dir, limit] of [
    ['/sys/fs/cgroup/memory/trainguard-kinds', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup/trainguard-kinds', 'memory.max'],
  ]) {
    try {
      mkdirSync(dir, { recursive: true });
      writeFileSync(path.join(dir, limit), String(500 << 20));
      writeFileSync(path.join(dir, 'cgroup.procs'), String(pid));
      return dir;
    } catch {
      // the other version, or none
    }
  }
  return undefined;
}

function leaveCgroup(dir) {
  try {
    rmdirSync(dir);
  } catch {
    // a process of it is still ending; the next one takes it over
  }
}

const rows = [];
let wrong = 0;
for (const one of cases) {
  if ((options.only && !one.title.includes(options.only)) || (one.slow && !options.slow)) continue;
  const cwd = mkdtempSync(path.join(tmpdir(), 'kinds-'));
  const { summary, err, impossible } = await play(one, cwd);
  rmSync(cwd, { recursive: true, force: true, maxRetries: 5 });
  if (impossible) {
    console.log(`not shown: ${one.title}: ${impossible}`);
    continue;
  }
  const failures = summary?.run?.failures ?? [];
  const kinds = failures.map(({ kind }) => kind);
  const expected = one.atLeast ? one.kinds.every((kind) => kinds.includes(kind)) : same(kinds, one.kinds);
  const right = expected && summary?.outcome === one.outcome;
  if (!right) wrong++;
  const last = failures.at(-1);
  const action = last
    ? `${last.action}${last.rolledBackTo ? `; goes on from ${last.rolledBackTo}` : ''}`
    : '';
  const lost = summary?.run?.goodput?.lostSteps ?? '?';
  rows.push([
    one.title,
    short(kinds),
    action || summary?.run?.reason,
    summary?.outcome,
    lost,
    one.source,
    right ? 'yes' : 'NO',
  ]);
  console.log(`| ${rows.at(-1).join(' | ')} |`);
  if (!right) console.log(`  expected ${one.kinds.join(', ')}, ${one.outcome}\n${err.slice(-600)}`);
}
const head = ['what happens', 'kind found', 'last action', 'the run', 'steps done twice', 'cause', 'right'];
const table = [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
if (options.markdown && wrong === 0) {
  const words =
    '# Failures, and what is done\n\nMade by `node test/chaos/kinds.mjs --markdown docs/failure-table.md`. A training of 60 steps that saves every 10 and fails at step 45.\n\n';
  writeFileSync(options.markdown, `${words}${table}\n`);
}
console.log(wrong === 0 ? 'all right' : `${wrong} wrong`);
process.exit(wrong === 0 ? 0 : 1);

function same(a, b) {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

/** `exception ×3`. */
function short(kinds) {
  if (kinds.length === 0) return 'none';
  return kinds.length > 1 && new Set(kinds).size === 1 ? `${kinds[0]} ×${kinds.length}` : kinds.join(', ');
}
