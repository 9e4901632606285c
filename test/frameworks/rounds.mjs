// What one framework goes through: train, damage, `trainguard rollback`, resume by its own means.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { cleanEnv, root, trainguard } from '../chaos/digits-round.mjs';
import { cutOff, flipByte, tear } from './damage.mjs';
import { every } from './frameworks.mjs';

/** Where .ci/frameworks put Python and the frameworks. */
export const venv = process.env.TRAINGUARD_CI_VENV || path.join(homedir(), '.cache/trainguard-ci/frameworks');
const longestMs = 180_000;

/**
 * Each goes on in the folder that the one before it left. `at`: the newest step then; `do`: what happens to it; `tells`:
 * which one `checkpoints verify` must say is damaged; `to`: what to roll back to, `target`: its step; `until`: the step to
 * train to afterwards.
 */
const rounds = [
  {
    damage: 'a newer save cut off',
    at: 6,
    do: (dir, framework) => tear(dir, framework, 6, 8),
    to: () => 'latest',
    target: 6,
    until: 8,
  },
  {
    damage: 'none: past two good ones',
    at: 8,
    do: () => undefined,
    to: ({ unit }) => unit(4),
    target: 4,
    until: 8,
  },
  {
    damage: 'a byte of the newest flipped',
    at: 8,
    do: (dir, { unit }) => flipByte(path.join(dir, unit(8))),
    // nobody told it: the rollback reads what it goes back to
    to: ({ unit, latest }) => (latest === 'a copy' ? unit(6) : 'latest'),
    target: 6,
    until: 10,
  },
];

/** Where every save writes over the one before: what comes back is trainguard's own copy of it. */
const roundsInPlace = [
  {
    damage: 'the next save cut off',
    at: 6,
    do: (dir, { inPlace }) => cutOff(path.join(dir, inPlace)),
    to: () => 'latest',
    target: 6,
    until: 8,
  },
  {
    damage: 'a byte flipped',
    at: 8,
    do: (dir, { inPlace }) => flipByte(path.join(dir, inPlace)),
    tells: ({ inPlace }) => inPlace,
    to: () => 'latest',
    target: 8,
    until: 10,
  },
];

/** All rounds of a framework in `home`, a row each; `why` says what went wrong, and where it did not resume the rounds end. */
export async function rowsOf(framework, home) {
  mkdirSync(home);
  const dir = path.join(home, framework.folder ?? 'ckpts');
  const planned = framework.inPlace === undefined ? rounds : roundsInPlace;
  const first = await train(framework, home, dir, planned[0].at, []);
  const madeBy = /^made by (.*)$/m.exec(first.out)?.[1];
  const rows = [];
  for (const { damage, target, ...round } of planned) {
    const row = { framework, madeBy, damage, target };
    if (first.ended) Object.assign(row, await play(framework, home, dir, { target, ...round }));
    else row.why = `the training before it failed (${first.code}):\n${tail(first)}`;
    rows.push(row);
    if (row.why !== undefined && row.resumed !== String(target)) break;
  }
  return rows;
}

async function play(framework, home, dir, round) {
  round.do(dir, framework);
  if (round.tells !== undefined) {
    const verified = await run(home, [process.execPath, trainguard, 'checkpoints', 'verify', dir]);
    const damaged = [...verified.out.matchAll(/^✖ (\S+) is damaged/gm)].map((match) => match[1]);
    if (verified.code !== 1 || damaged.join() !== round.tells(framework))
      return { why: `checkpoints verify (${verified.code}) told of ${damaged}:\n${tail(verified)}` };
  }
  const to = round.to(framework);
  const command = [process.execPath, trainguard, 'rollback', '--to', to, '--checkpoint-dir', dir];
  const back = await run(home, command);
  if (back.code !== 0) return { why: `rollback ended with ${back.code}:\n${tail(back)}` };
  const left = newerThan(round.target, dir, framework);
  if (left.length > 0) return { why: `${left.join(', ')} left by the rollback:\n${tail(back)}` };

  const again = await train(framework, home, dir, round.until, framework.resume);
  const resumed = /^resumed from .* at step (\d+)$/m.exec(again.out)?.[1] ?? 'nothing';
  const saves = again.out.matchAll(/^saved .* at step (\d+)$/gm);
  const saved = [...new Set(Array.from(saves, (match) => Number(match[1])))];
  const layout = /checkpoints in .* \((\w+)/.exec(again.err)?.[1];
  const seen = { resumed, saved, layout };
  const wanted = stepsFrom(round.target + every, round.until);
  if (!again.ended) seen.why = `the resumed training failed (${again.code}):\n${tail(again)}`;
  else if (resumed !== String(round.target))
    seen.why = `resumed from ${resumed}, not ${round.target}:\n${tail(back)}`;
  else if (saved.join() !== wanted.join()) seen.why = `saved ${saved}, not ${wanted}:\n${tail(again)}`;
  else if (layout !== framework.layout) seen.why = `the layout is ${layout}, not ${framework.layout}`;
  return seen;
}

/**
 * Under `trainguard run`, which keeps copies of what is written in place. Those trainings end with a failure, since
 * nothing writes over what a training that succeeded has saved. `ended`: with the exit status that was planned.
 */
async function train({ script, flags, inPlace }, home, dir, steps, resume) {
  const planned = inPlace === undefined ? 0 : 3;
  const name = `until-${steps}-${Date.now()}`;
  const guard = [trainguard, 'run', '--name', name, '--max-retries', '0', '--checkpoint-dir', dir, '--'];
  const shell = ['sh', '-c', `"$@" && exit ${planned}`, 'sh'];
  const trainer = [path.join(venv, 'bin/python'), path.join(root, 'fixtures', script), ...flags, ...resume];
  const common = ['--checkpoint-dir', dir, '--steps', String(steps), '--save-every', String(every)];
  const done = await run(home, [process.execPath, ...guard, ...shell, ...trainer, ...common]);
  return { ...done, ended: done.code === planned };
}

function run(cwd, [program, ...args]) {
  const env = { ...cleanEnv(), JAX_PLATFORMS: 'cpu', PYTHONDONTWRITEBYTECODE: '1', NO_COLOR: '1' };
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: longestMs });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ ...said, code: code ?? signal }));
  });
}

/** Checkpoints newer than the target that the framework would still find. */
function newerThan(target, dir, { unit }) {
  if (unit === undefined) return [];
  const names = stepsFrom(target + every, 10).map(unit);
  return names.filter((name) => existsSync(path.join(dir, name)));
}

const stepsFrom = (from, to) =>
  Array.from({ length: (to - from) / every + 1 }, (_, index) => from + index * every);

const tail = ({ out, err }) => `${out}${err}`.trim().split('\n').slice(-15).join('\n');
