// The same SIGKILL of trainguard, pm2, supervisord and torchrun supervising the same trainer: what became of the trainer,
// of its output, and of a new start. Writes docs/comparison.md (of one supervisor, if one is named, it only prints).
// `npm run build && node test/chaos/comparison.mjs [supervisor]`
// pm2, supervisor and torch are installed into ~/.cache/trainguard-ci/comparison unless they are there (5 GB, as
// PyPI's torch brings CUDA; TRAINGUARD_COMPARISON names another folder).
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import {
  cleanEnv,
  isAlive,
  python,
  readWitness,
  root,
  sleep,
  text,
  trainguard,
  witnessed,
} from './digits-round.mjs';

const cache = process.env.TRAINGUARD_COMPARISON ?? path.join(homedir(), '.cache/trainguard-ci/comparison');
const inVenv = (name) => path.join(cache, 'python/bin', name);
const pm2 = path.join(cache, 'node_modules/pm2/bin/pm2');

/** 20 ms and a bit a step, so that a trainer is at work for 10 s and more after the kill. */
const steps = 650;
const trainers = [
  { every: 1, prints: 'every step', options: ['--log-every', '1', '--save-every', '50'] },
  { every: 150, prints: 'every 150 steps', options: ['--log-every', '150', '--save-every', '150'] },
  {
    every: 1,
    prints: 'every step, to a file of its own',
    options: ['--log-every', '1', '--save-every', '50'],
    ownFile: ['pm2', 'supervisord'],
  },
];
const killAfterStep = 150;
/** From the checkpoint to the kill, and from the kill to the new start. */
const pauseMs = 300;
const restartAfterMs = 1000;
const longestMs = 90_000;

const supervisors = {
  trainguard: {
    version: () => said(process.execPath, [trainguard, '--version']),
    start: (stage) => {
      const flags = ['run', '--name', 'trainer', '--checkpoint-dir', 'ckpts'];
      return stage.spawn(process.execPath, [trainguard, ...flags, '--', python, ...stage.trainer]);
    },
    output: (stage) => {
      const dir = path.join(stage.dir, '.trainguard/runs/trainer/attempts');
      if (!existsSync(dir)) return '';
      return readdirSync(dir)
        .sort()
        .map((name) => text(path.join(dir, name, 'worker-0.out.log')))
        .join('');
    },
  },
  pm2: {
    version: () => JSON.parse(text(path.join(cache, 'node_modules/pm2/package.json'))).version,
    // a finished training is not to be started again and again; all else is as pm2 has it
    async start(stage) {
      const [script, ...args] = stage.trainer;
      const file = stage.ownFile ? ['/bin/sh', '--interpreter', 'none'] : [script, '--interpreter', python];
      const words = stage.ownFile ? intoOwnFile(stage) : args;
      const flags = ['--name', 'trainer', '--stop-exit-codes', '0'];
      await stage.spawn(process.execPath, [pm2, 'start', ...file, ...flags, '--', ...words]).ended;
      return { pid: Number(text(path.join(stage.dir, 'pm2/pm2.pid'))) };
    },
    output: (stage) => text(path.join(stage.dir, stage.ownFile ? 'own.log' : 'pm2/logs/trainer-out.log')),
    finish: (stage) => stage.spawn(process.execPath, [pm2, 'kill']).ended,
  },
  supervisord: {
    version: () => said(inVenv('supervisord'), ['--version']),
    start(stage) {
      const at = (name) => path.join(stage.dir, name);
      writeFileSync(
        at('supervisord.conf'),
        [
          '[supervisord]',
          `logfile=${at('supervisord.log')}`,
          `pidfile=${at('supervisord.pid')}`,
          '[program:trainer]',
          `command=${stage.ownFile ? `/bin/sh -c "${intoOwnFile(stage)[1]}"` : [python, ...stage.trainer].join(' ')}`,
          `stdout_logfile=${at('out.log')}`,
          `stderr_logfile=${at('err.log')}`,
          '',
        ].join('\n'),
      );
      return stage.spawn(inVenv('supervisord'), ['-n', '-c', at('supervisord.conf')]);
    },
    output: (stage) => text(path.join(stage.dir, stage.ownFile ? 'own.log' : 'out.log')),
    finish: (stage, last) => last.stop(),
  },
  torchrun: {
    version: () => said(inVenv('python'), ['-c', 'import torch; print(torch.__version__)']),
    start: (stage) =>
      stage.spawn(inVenv('torchrun'), ['--standalone', '--nproc-per-node', '1', ...stage.trainer]),
    // it has no log of its own unless told: the trainer has its stdout
    output: (stage) => text(path.join(stage.dir, 'stdout.log')),
  },
};

/** What a person can do who knows what is coming: the arguments of a shell that has the trainer write to a file. */
const intoOwnFile = (stage) => [
  '-c',
  `exec ${[python, ...stage.trainer].join(' ')} >>${stage.dir}/own.log 2>&1`,
];

/** Where one supervisor and its trainer are at work. */
class Stage {
  constructor(options, ownFile = false) {
    this.ownFile = ownFile;
    this.dir = mkdtempSync(path.join(tmpdir(), 'trainguard-comparison-'));
    this.ckpts = path.join(this.dir, 'ckpts');
    const script = path.join(root, 'fixtures/trainers/digits.py');
    this.trainer = [
      script,
      '--steps',
      String(steps),
      '--step-time',
      '0.02',
      '--checkpoint-dir',
      this.ckpts,
      ...options,
    ];
    this.witness = path.join(this.dir, 'witness');
    this.env = {
      ...cleanEnv(),
      ...witnessed(this.witness),
      PYTHONUNBUFFERED: '1',
      PM2_HOME: path.join(this.dir, 'pm2'),
    };
  }

  spawn(file, args) {
    const [out, err] = ['stdout.log', 'stderr.log'].map((name) => openSync(path.join(this.dir, name), 'a'));
    const child = spawn(file, args, { cwd: this.dir, env: this.env, stdio: ['ignore', out, err] });
    closeSync(out);
    closeSync(err);
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? signal));
    });
    return {
      pid: child.pid,
      ended,
      stop: () => {
        child.kill('SIGTERM');
        return ended;
      },
    };
  }

  /** The trainers that started, each with how it ended, if it said so. */
  trainers() {
    const said = readWitness(this.witness);
    const starts = said.filter(({ word }) => word === 'alone' || word === 'beside-another');
    return starts.map(({ pid, word }) => {
      const words = said.filter((one) => one.pid === pid).map((one) => one.word);
      const failed = words.find((one) => /Error|Exception|Interrupt/.test(one));
      return {
        pid,
        beside: word === 'beside-another',
        failed,
        ended: words.includes('ended'),
        alive: isAlive(pid),
      };
    });
  }

  newestCheckpoint() {
    const names = existsSync(this.ckpts) ? readdirSync(this.ckpts) : [];
    return Math.max(0, ...names.flatMap((name) => /^step-(\d+)\.npz$/.exec(name)?.[1] ?? []).map(Number));
  }

  async until(what, fact) {
    for (const endAt = Date.now() + longestMs; Date.now() < endAt; await sleep(20)) if (fact()) return;
    throw new Error(`${what} did not come in ${longestMs / 1000} s; see ${this.dir}`);
  }
}

/** Kills a supervisor half-way, starts it anew, and tells what became of its trainer. */
async function killed(supervisor, { every, options, ownFile }, digest) {
  const stage = new Stage(options, ownFile !== undefined);
  const first = await supervisor.start(stage);
  await stage.until('the checkpoint', () => stage.newestCheckpoint() >= killAfterStep);
  await sleep(pauseMs);
  process.kill(first.pid, 'SIGKILL');
  await sleep(20);
  const atKill = beats(supervisor.output(stage));
  await sleep(restartAfterMs);
  const [unwatched] = stage.trainers();
  const second = await supervisor.start(stage);
  await stage.until('the end', () => {
    const all = stage.trainers();
    return all.every(({ alive }) => !alive) && all.some(({ ended, failed }) => ended && !failed);
  });
  await (supervisor.finish ? supervisor.finish(stage, second) : second.ended);
  const all = stage.trainers();
  const output = supervisor.output(stage);
  rmSync(stage.dir, { recursive: true, force: true });

  const { failed } = all[0];
  const printed = beats(output);
  const due = Array.from({ length: Math.floor(steps / every) }, (_, index) => (index + 1) * every);
  const missing = due.filter((step) => !printed.includes(step)).length;
  const twice = printed.length - new Set(printed).size;
  const finals = [...output.matchAll(/^final .*digest=([0-9a-f]{64})$/gm)].map(([, final]) => final);
  const same = finals.length > 0 && finals.every((final) => final === digest);
  return {
    trainer: fate(unwatched.alive, failed),
    output: failed
      ? `ends at the kill (step ${atKill.at(-1)})`
      : missing > 0
        ? `${missing} heartbeats missing`
        : 'all there',
    restart: restartOf(all),
    twice: every === 1 ? twice : '',
    weights: same ? `the same${finals.length > 1 ? `, told ${finals.length} times` : ''}` : 'others',
  };
}

function restartOf([first, second]) {
  if (!second) return 'goes on with it';
  if (second.beside) return 'a second one beside it';
  return first.failed ? 'a new one' : 'a new one, after its end';
}

function fate(alive, failed) {
  if (!failed) return 'trains on to its end';
  return alive ? `trains on unseen, ${failed} at its next print` : `${failed} at its next print`;
}

/** The steps that heartbeats on disk name, in the order they stand there. */
const beats = (log) => [...log.matchAll(/^heartbeat step=(\d+)/gm)].map(([, step]) => Number(step));

async function digestInPeace(options) {
  const stage = new Stage(options);
  await stage.spawn(python, stage.trainer).ended;
  const digest = /digest=([0-9a-f]{64})/.exec(text(path.join(stage.dir, 'stdout.log')))?.[1];
  rmSync(stage.dir, { recursive: true, force: true });
  if (digest === undefined) throw new Error('the trainer alone came to no end');
  return digest;
}

function said(file, args) {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout.trim();
}

function install() {
  mkdirSync(cache, { recursive: true });
  if (!existsSync(pm2)) {
    console.log(`installing pm2 into ${cache}`);
    said('npm', [
      'install',
      '--prefix',
      cache,
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      'pm2',
    ]);
  }
  if (existsSync(inVenv('torchrun')) && existsSync(inVenv('supervisord'))) return;
  console.log(`installing supervisor and torch into ${cache}`);
  said(python, ['-m', 'venv', path.join(cache, 'python')]);
  said(inVenv('pip'), ['install', '--quiet', 'supervisor', 'torch']);
}

const only = process.argv[2];
install();
const names = Object.keys(supervisors).filter((name) => only === undefined || name === only);
const versions = names.map((name) => `${name} ${supervisors[name].version()}`);
const rows = [];
for (const trainer of trainers) {
  const digest = await digestInPeace(trainer.options);
  for (const name of names.filter((one) => trainer.ownFile?.includes(one) ?? true)) {
    const row = [name, trainer.prints];
    row.push(...Object.values(await killed(supervisors[name], trainer, digest)));
    console.log(row.join(' · '));
    rows.push(row);
  }
}
const head = ['supervisor', 'prints', 'the trainer', 'its output', 'a new start', 'steps twice', 'weights'];
const document = describe(versions, [head, ...rows]);
console.log(`\n${document}`);
if (only === undefined) writeFileSync(path.join(root, 'docs/comparison.md'), document);

/** A table as Prettier has it. */
function markdown(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  const line = (cells) =>
    `| ${cells.map((cell, column) => String(cell).padEnd(widths[column])).join(' | ')} |`;
  return [line(rows[0]), line(widths.map((width) => '-'.repeat(width))), ...rows.slice(1).map(line)].join(
    '\n',
  );
}

function describe(versions, table) {
  return `# When the supervisor itself is killed

\`node test/chaos/comparison.mjs\` writes this page. It starts \`fixtures/trainers/digits.py\` (${steps} steps, about 16 s,
unchanged) under each supervisor, sends the supervisor SIGKILL (pm2: its daemon; torchrun: its agent) soon after the
checkpoint of step ${killAfterStep}, and gives the same start command again ${restartAfterMs / 1000} s later.

${markdown(table)}

- _the trainer_: what became of the process that was training at the kill.
- _its output_: whether each heartbeat that the trainer printed after the kill is in the supervisor's log.
- _a new start_: what the second start of the supervisor did about the training.
- _steps twice_: steps whose heartbeat stands in the log twice, as they were trained twice.
- _weights_: the digest of the final weights beside that of a training which nobody disturbed. Two trainers in one folder
  came out right here since this one is deterministic, saves atomically and keeps every checkpoint.

Versions: ${versions.join(', ')}; Python ${said(python, ['-V']).split(' ')[1]}, node ${process.version.slice(1)}.

## What is behind it, and what options change

All run with their defaults, but for \`PYTHONUNBUFFERED=1\` for all of them (which trainguard sets by itself; without it a
trainer on a broken pipe dies when its buffer is next full) and \`--stop-exit-codes 0\` for pm2 (which otherwise starts a
finished training again).

- **trainguard** gives the trainer files to write to, and reads them. The next \`run\` finds the trainer by pid and start
  time and goes on reading where it was. What kills a whole control group kills the trainer too: a systemd unit needs
  \`KillMode=process\`.
- **pm2** reads the trainer's output from pipes, which break with the daemon. \`--kill-timeout\`, \`--no-treekill\` and the
  restart options are about stops and exits that a living daemon sees. \`pm2 resurrect\` and \`pm2 startup\` start what
  \`pm2 save\` wrote down as new processes; they take over none.
- **supervisord** reads pipes too, also under \`stdout_logfile=NONE\`. \`stopasgroup\`, \`killasgroup\`, \`autorestart\` and
  \`startretries\` are about a living supervisord.
- For both, a command that writes to a file by itself (the last two rows: \`sh -c 'exec python train.py >>train.log 2>&1'\`)
  keeps the trainer alive; a new start then puts a second one beside it, as torchrun does.
- **torchrun** hands its own stdout on, so the trainer lives and prints on as long as that is a file; piped into another
  program (\`torchrun … | tee\`) it depends on that one. \`--redirects\` and \`--tee\` write files. \`--max-restarts\` is about
  workers that fail under a living agent; a new agent knows nothing of the old one's workers.
`;
}
