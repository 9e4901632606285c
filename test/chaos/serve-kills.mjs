// SIGKILL of `trainguard serve` at random instants, also of its start and while it folds its journal, under workers that
// register, beat, save checkpoints of 1 KB to 4 MB and are marked failed. They know nothing of it: each repeats what is
// unanswered, under the same key, at the same address. Nothing acknowledged is lost, torn or done twice; exits 1 if it was.
// `npm run build && node test/chaos/serve-kills.mjs [kills=100] [seed]`; a seed makes the same plans again.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { median, ms, printTable } from '../bench/lib.mjs';
import { sleep, startServe } from '../bench/serve-process.mjs';
import { seeded } from './digits-round.mjs';
import { PythonWorker } from './serve-kills-python.mjs';
import { Crowd, Worker } from './serve-kills-worker.mjs';

const kills = Number(process.argv[2] ?? 100);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000);
const keep = 3;
/** Answers that it may give before it is killed, and how long it is given for them, ms. */
const lifeAnswers = 60;
const lifeMs = 5000;
/** Kills that fall into a start. */
const earlyShare = 0.25;
/** Every so many kills one falls into a fold of the journal, within so many ms of its beginning. */
const foldEvery = 10;
const foldMs = 60;

console.log(`seed ${seed}`);
const random = seeded(seed);
const dir = mkdtempSync(path.join(tmpdir(), 'trainguard-serve-kills-'));
const violations = [];
const violated = (text) => violations.push(text);
const fell = { 'while it listens': 0, 'in a start': 0, 'in a fold': 0 };
const killed = () => Object.values(fell).reduce((sum, number) => sum + number);
const answers = () => team.reduce((sum, worker) => sum + worker.answered, 0);
const wanted = () => killed() < kills && violations.length === 0;
/** From the start to listening, ms. */
const starts = [];

let server = start('--port', '0');
const where = await server.ready();
const team = Array.from(
  { length: 6 },
  (_, i) => new Worker(`gpu-${i}`, where, seeded(seed * 31 + i), violated),
);
const crowd = new Crowd(Math.min(1000, kills * 50), where, violated);
const trainings = ['python-0', 'python-1'].map((name) => new PythonWorker(name, dir, where, violated));
let trained = [];
const working = Promise.all([...team, crowd].map((one) => one.work(wanted)));
working.catch((error) => violated(error.stack));
try {
  for (; wanted(); server = start()) await killOne();
  await readyAsBefore();
  await working;
  for (const one of [...team, crowd]) await one.check();
  trained = await Promise.all(trainings.map((training) => training.check()));
  await checkWorkers();
  server.child.kill('SIGTERM');
  if ((await server.ended) !== 0)
    violated(`serve ended with ${server.status} after SIGTERM:\n${server.said}`);
  checkDisk();
} catch (error) {
  violated(error.stack);
}
report();
process.exit();

function start(...args) {
  return startServe(dir, [...args, '--keep-checkpoints', String(keep)]);
}

async function killOne() {
  const fold = killed() % foldEvery === foldEvery - 1;
  const early = !fold && starts.length > 0 && random() < earlyShare;
  if (early) {
    await sleep(random() * median(starts));
  } else {
    await readyAsBefore();
    await (fold ? foldBegun() : answersMore(random() * lifeAnswers));
    await sleep(random() * (fold ? foldMs : 10));
  }
  if (server.status !== undefined)
    throw new Error(`serve ended by itself with ${server.status}:\n${server.said}`);
  server.child.kill('SIGKILL');
  await server.ended;
  fell[fold ? 'in a fold' : early ? 'in a start' : 'while it listens']++;
}

/** Workers that know only the old address and token must find it. */
async function readyAsBefore() {
  const { url, token } = await server.ready();
  starts.push(performance.now() - server.startedAt);
  if (url !== where.url) throw new Error(`serve listens at ${url} after ${where.url}`);
  if (token !== where.token) throw new Error('serve wants another token than before');
}

async function answersMore(number) {
  const until = performance.now() + lifeMs;
  const wantedAnswers = answers() + number;
  while (answers() < wantedAnswers && performance.now() < until) await sleep(1);
}

/** The crowd beats without a pause until the journal is long enough. */
async function foldBegun() {
  const until = performance.now() + 60_000;
  crowd.hurry = true;
  while (!existsSync(path.join(dir, 'serve/journal.old.jsonl'))) {
    if (performance.now() > until) throw new Error('the journal was not folded in a minute of heartbeats');
    await sleep(1);
  }
  crowd.hurry = false;
}

/** The workers are those that were registered, and no others. */
async function checkWorkers() {
  const listed = await crowd.list();
  const expected = [
    ...team.flatMap(({ name, told }) => [name, ...told.extras]),
    ...trainings.map(({ name }) => name),
    ...crowd.names,
  ];
  const names = new Set(listed.map(({ workerId }) => workerId));
  const missing = expected.filter((name) => !names.delete(name));
  if (missing.length > 0) violated(`registered and not there any more: ${missing.join(', ')}`);
  if (names.size > 0) violated(`there and not registered, or unregistered: ${[...names].join(', ')}`);
}

/** Every file is what its name says, and no acknowledged one is gone that is not too old to be kept. */
function checkDisk() {
  for (const { name, paths } of [...team, ...trainings.map(({ name }) => ({ name, paths: [] }))]) {
    const folder = path.join(dir, 'serve/checkpoints', name);
    // what a kill cut off while it was written has a name that begins with a dot, until the next save
    const files = (existsSync(folder) ? readdirSync(folder) : [])
      .filter((file) => !file.startsWith('.'))
      .sort();
    const sums = files.map((file) => `${file.split('.').at(-2)}  ${file}\n`).join('');
    const checked = spawnSync('sha256sum', ['--check', '--strict', '--quiet'], { cwd: folder, input: sums, encoding: 'utf8' }); // prettier-ignore
    if (files.length > 0 && checked.status !== 0) violated(`${folder}: ${checked.stdout}${checked.stderr}`);
    if (files.length > keep) violated(`${folder} holds ${files.join(', ')}`);
    for (const acknowledged of paths.map((file) => path.basename(file)))
      if (!files.includes(acknowledged) && files.filter((file) => file > acknowledged).length < keep)
        violated(`${name}: acknowledged ${acknowledged} is gone, there are ${files.join(', ')}`);
  }
}

function report() {
  const kinds = ['beat', 'checkpoint', 'mark', 'register', 'unregister'];
  const found = (kind, done) =>
    team.flatMap(({ afterKills }) => afterKills).filter(([what, was]) => what === kind && was === done)
      .length;
  printTable([
    ['asked for', 'answered', 'unanswered at a kill: done', 'not done'],
    ...kinds.map((kind) => [
      kind,
      team.reduce((sum, { answers }) => sum + (answers[kind] ?? 0), 0),
      found(kind, true),
      found(kind, false),
    ]),
    [`${crowd.names.length} beats at once`, crowd.told, '', ''],
    ['batches of two trainings in Python', trained.join(' + '), '', ''],
  ]);
  const outages = team.flatMap((worker) => worker.outages);
  console.log(
    `${killed()} of ${kills} kills (${Object.entries(fell).map(([when, number]) => `${number} ${when}`).join(', ')}); ` +
      `from start to listening: median ${ms(median(starts))}, max ${ms(Math.max(...starts))}; ` +
      `from a lost answer to the answer: median ${ms(median(outages))}, max ${ms(Math.max(...outages))}; ` +
      `${team.reduce((sum, { replays }) => sum + replays, 0)} answers replayed`,
  ); // prettier-ignore
  for (const text of violations) console.error(`VIOLATED: ${text}`);
  if (violations.length === 0) rmSync(dir, { recursive: true });
  else console.error(`its folder is kept: ${dir}`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
