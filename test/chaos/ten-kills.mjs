// Ten runs of the digits, each with a SIGKILL of the trainer at a random step: every one must exit 0 and end with the
// digest of the undisturbed run. Prints a table, exits 1 on a difference. `npm run build && node test/chaos/ten-kills.mjs [runs]`
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const trainguard = [process.execPath, path.join(root, 'bin', 'trainguard.js')];
const steps = 100;
const digits = [
  ...['python3', path.join(root, 'fixtures', 'trainers', 'digits.py')],
  ...['--steps', String(steps), '--save-every', '10', '--step-time', '0.01'],
];
const runs = Number(process.argv[2] ?? 10);

const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(TRAINGUARD|DIGITS|SLURM|KUBERNETES)_/.test(name)),
);

/** Runs a command to its end; `look` sees all that it printed so far. */
function finish(argv, look = () => {}) {
  const cwd = mkdtempSync(path.join(tmpdir(), 'ten-kills-'));
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const printed = { out: '', err: '' };
    child.stdout.on('data', (chunk) => look((printed.out += chunk), printed.err));
    child.stderr.on('data', (chunk) => look(printed.out, (printed.err += chunk)));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...printed, digest: digestOf(printed.out + printed.err) }));
  }).finally(() => rmSync(cwd, { recursive: true, force: true }));
}

const digestOf = (text) => /^final .*digest=([0-9a-f]{64})$/m.exec(text)?.[1];

/** One run under trainguard, its trainer killed once it has reported `step`. */
function killedAt(step) {
  let victim;
  return finish(
    [
      ...trainguard,
      'run',
      '--json',
      '--checkpoint-dir',
      'ckpts',
      '--backoff-initial',
      '0.1',
      '--',
      ...digits,
    ],
    (out, err) => {
      if (victim !== undefined || !new RegExp(`^heartbeat step=${step} `, 'm').test(err)) return;
      victim = Number(/"type":"launched","pid":(\d+)/.exec(out)?.[1]);
      process.kill(victim, 'SIGKILL');
    },
  );
}

const { digest } = await finish([...digits, '--checkpoint-dir', 'ckpts'].map(String));
console.log(`undisturbed: ${digest}\n`);
console.log('run  killed at  exit  failures  resumed at  digest');
let different = 0;
for (let run = 1; run <= runs; run++) {
  const step = 1 + Math.floor(Math.random() * (steps - 5));
  const ended = await killedAt(step);
  const summary = JSON.parse(ended.out.trimEnd().split('\n').at(-1) || '{}');
  const kinds = summary.run?.failures.map(({ kind }) => kind).join(' ') ?? '?';
  const resumed = /^resumed from .* at step (\d+)$/m.exec(ended.err)?.[1] ?? 'start';
  const good =
    ended.code === 0 && ended.digest !== undefined && ended.digest === digest && kinds === 'killed';
  if (!good) different++;
  const cells = [
    String(run).padEnd(3),
    `step ${step}`.padEnd(9),
    String(ended.code).padEnd(4),
    kinds.padEnd(8),
  ];
  console.log([...cells, resumed.padEnd(10), good ? 'the same' : `DIFFERENT: ${ended.digest}`].join('  '));
}
console.log(different === 0 ? `\nall ${runs} the same, bit by bit` : `\n${different} of ${runs} went wrong`);
process.exitCode = different === 0 ? 0 : 1;
