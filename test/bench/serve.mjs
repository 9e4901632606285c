// `trainguard serve` on one core under 10,000 workers that beat every 5 s: how late heartbeats are answered, counted from
// when they were due; the processor time that takes; how late failures are told; memory over a million heartbeats.
//   node test/bench/serve.mjs [--workers 10000] [--seconds 30] [--beats 1000000] [--silent 200]
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, median, ms, option, printMachine, printTable } from './lib.mjs';
import { quantile, seconds as inSeconds, temporaryDir } from './lib.mjs';
import { sleep, startServe } from './serve-process.mjs';

const workers = option('workers', 10_000);
const seconds = option('seconds', 30);
const beats = option('beats', 1_000_000);
const silent = option('silent', 200);
const sampleMs = 100;
/** What the fourth quarter may have more than the first: V8's heap goes on to a level, which is reached after 2,000,000. */
const growthBound = 1.1;
const pinned = spawnSync('taskset', ['-c', '0', 'true']).status === 0;
const onCore = (core) => (pinned ? ['taskset', '-c', String(core)] : []);

const dir = temporaryDir('serve');
printMachine();
const server = startServe(dir, ['--port', '0'], { within: onCore(0) });
const where = await server.ready();
const load = startLoad();
/** Of the server, every 100 ms: resident memory and the sizes of its files, MB. */
const samples = [];
const sampling = setInterval(sample, sampleMs);

const registered = await load('register', where, { workers });
console.log(`${workers} workers registered in ${inSeconds(registered.tookMs)}`);
await million();
await pacedLoads();
await silence();
const largest = (what) => Math.max(...samples.map((one) => one[what]));
console.log(`RSS at the end ${samples.at(-1).rss.toFixed(1)} MB, at most ${largest('rss').toFixed(1)} MB`);
check('both journals together', largest('journals'), 32, ' MB');
check('snapshot', largest('state'), 32, ' MB');

clearInterval(sampling);
load.end();
server.child.kill('SIGTERM');
check('exit status of serve, ended by SIGTERM', Number(await server.ended), 0);

/**
 * The table of latencies; `at a fold` and `connecting` are p99 too, of what was due then; `sent` is how late the load
 * itself was, which is in all the others.
 */
async function pacedLoads() {
  const mib = 1024 * 1024;
  const text = JSON.stringify({ weights: 'A'.repeat(mib - 20) });
  const numbers = Array.from({ length: mib / 20 }, (_, i) => (Math.sin(i) / 3).toFixed(17));
  const rows = [
    ['load', 'asked', 'p50 ms', 'p99', 'p99.9', 'max', 'at a fold', 'connecting', 'sent', 'CPU %', 'RSS MB'],
  ];
  const judged = [];
  const measure = async (what, options, { at = where, pid = server.pid, maxCpu, maxMs = 20, fold } = {}) => {
    if (fold) await nearlyFolded();
    const from = { cpu: cpuMs(pid), at: Date.now(), sample: samples.length };
    const { requests, lost } = await load('beat', at, { batch: 100, seconds, ...options });
    const cpu = (100 * (cpuMs(pid) - from.cpu)) / (Date.now() - from.at);
    if (lost.length > 0) console.log(`${what}: ${lost.length} lost, the first: ${lost[0]}`);
    judged.push([`${what}, requests without an answer`, lost.length, 0]);
    const folds = foldsSince(from.sample);
    const late = (some) => (q) =>
      quantile(
        some.map(([, , tookMs]) => tookMs),
        q,
      );
    const shown = (number) => (Number.isNaN(number) ? '-' : number.toFixed(1));
    for (const name of ['batch', 'single', 'put']) {
      const all = requests.filter(([request]) => request.startsWith(name));
      const own = all.filter(([request]) => request === name);
      if (own.length === 0) continue;
      const [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1].map(late(own));
      const atFolds = late(all.filter(([, due]) => folds.some((fold) => Math.abs(fold - due) < 500)))(0.99);
      const connecting = late(all.filter(([request]) => request !== name))(0.99);
      const sent = quantile(
        own.map(([, , , sentMs]) => sentMs),
        0.99,
      );
      const cells = [p50, p99, p999, max, atFolds, connecting, sent, cpu, samples.at(-1).rss].map(shown);
      rows.push([`${what}: ${name}`, own.length, ...cells]);
      if (name === 'put' || pid !== server.pid) continue;
      judged.push([`${what}: ${name}, p99`, p99, maxMs, ' ms']);
      if (fold) judged.push([`${what}: ${name}, p99 at a fold`, atFolds, maxMs, ' ms']);
    }
    if (maxCpu) judged.push([`${what}, CPU`, cpu, maxCpu, ' %']);
  };
  const bare = startBare();
  await measure('a bare Node server', {}, { at: await bare.where, pid: bare.pid });
  await measure('the same, workers alone', { singles: workers }, { at: await bare.where, pid: bare.pid });
  bare.kill('SIGKILL');
  await measure('batches of 100', {}, { maxCpu: 50 });
  await measure('batches of 8', { batch: 8 }, { maxCpu: 50 });
  await measure('batches of 8, a fold', { batch: 8 }, { fold: true });
  await measure('a tenth alone', { singles: workers / 10 }, { maxCpu: 50 });
  await measure('4 × 1 MiB of text a second', { puts: 4, body: text });
  await measure('4 × 1 MiB of numbers a second', { puts: 4, body: `[${numbers.join(',')}]` });
  await measure('every worker alone', { singles: workers }, { maxMs: Infinity });
  printTable(rows);
  for (const what of judged) check(...what);
}

/** Beats until the journal will be folded in some seconds of a usual load. */
async function nearlyFolded() {
  const foldedAtMb = 8.39;
  while ((samples.at(-1)?.journal ?? 0) < foldedAtMb - 0.45) {
    await load('flood', where, { beats: 10_000, connections: 1 });
    await sleep(2 * sampleMs);
  }
}

/** Failures against the last heartbeats of those that fell silent. */
async function silence() {
  /** The default: three intervals of 5 s. */
  const timeoutMs = 15_000;
  const { failures } = await load('beat', where, { batch: 100, silent, seconds: Math.max(seconds, 60) });
  const late = failures.map(({ at, lastHeartbeat }) => at - lastHeartbeat - timeoutMs);
  const heard = failures.map(({ heardAt, lastHeartbeat }) => heardAt - lastHeartbeat - timeoutMs);
  const names = new Set(failures.map(({ workerId }) => workerId));
  const known = failures.filter(({ sentAt }) => sentAt !== undefined);
  console.log(
    `${silent} of ${workers} fell silent, ${names.size} told failed; ms after heartbeat and timeout: by the server's clock ` +
      `${Math.min(...late)} to ${Math.max(...late)}, as heard p50 ${ms(median(heard))}, max ${ms(Math.max(...heard))}`,
  );
  check('silent workers not told failed', silent - new Set(known.map(({ workerId }) => workerId)).size, 0);
  check('failures of others', failures.length - known.length, 0);
  check('failures told twice', failures.length - names.size, 0);
  check('failures told too early', late.filter((by) => by < 0).length, 0);
  const mistaken = known.filter(
    // whole ms against fractions
    ({ lastHeartbeat, sentAt, answeredAt }) => lastHeartbeat < sentAt - 1 || lastHeartbeat > answeredAt + 1,
  );
  check('last heartbeats not between asked and answered', mistaken.length, 0);
  check('failures after the timeout, as heard, at the latest', Math.max(...heard), 250, ' ms');
}

/** Memory, once it has had as many heartbeats to grow in: V8 lets a heap grow to what the load wants of it. */
async function million() {
  await load('flood', where, { beats });
  const from = samples.length;
  const { tookMs } = await load('flood', where, { beats });
  const length = (samples.length - from) / 4;
  const rss = [0, 1, 2, 3].map((quarter) =>
    median(samples.slice(from + quarter * length, from + (quarter + 1) * length).map((one) => one.rss)),
  );
  console.log(
    `${beats} heartbeats as fast as they are answered: ${inSeconds(tookMs)}, ${Math.round((beats / tookMs) * 1000)} a second; ` +
      `${foldsSince(from).length} folds; RSS by quarters of the time, MB: ${rss.map((mb) => mb.toFixed(1)).join('  ')}`,
  );
  check('RSS, fourth quarter to the first', rss[3] / rss[0], growthBound, ' ×');
}

/** @returns asks the load for something and settles with what came of it */
function startLoad() {
  const [file, ...args] = [
    ...onCore(1),
    process.execPath,
    '--expose-gc',
    '--max-semi-space-size=64',
    fileURLToPath(new URL('serve-load.mjs', import.meta.url)),
  ];
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.once('exit', (code) => {
    if (code !== 0) process.exit(1);
  });
  const ask = async (what, at, options) => {
    child.send({ what, where: at, options });
    const [answer] = await once(child, 'message');
    return answer;
  };
  return Object.assign(ask, { end: () => child.disconnect() });
}

/** What Node itself does on the same core: it reads a request and answers the same to all. */
function startBare() {
  const code = `require('node:http')
    .createServer((asked, answer) => asked.resume().on('end', () => answer.end('{"answers":[],"shouldContinue":true}')))
    .listen(0, '127.0.0.1', function () { this.keepAliveTimeout = 0; console.log(this.address().port); });`;
  const [file, ...args] = [...onCore(0), process.execPath, '-e', code];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL'));
  const where = once(child.stdout, 'data').then(([port]) => ({
    url: `http://127.0.0.1:${Number(port)}`,
    token: '',
  }));
  return Object.assign(child, { where });
}

/** Processor time that a process used so far. */
function cpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10; // ticks of 1/100 s
}

function sample() {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  const rss = (Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1e6;
  const size = (name) =>
    (statSync(path.join(dir, 'serve', name), { throwIfNoEntry: false })?.size ?? 0) / 1e6;
  const journal = size('journal.jsonl');
  samples.push({ at: Date.now(), rss, journal, journals: journal + size('journal.old.jsonl'), state: size('state.json') }); // prettier-ignore
}

/** When the journal had got smaller, ms since 1970. */
function foldsSince(from) {
  const seen = samples.slice(from);
  return seen.filter(({ journal }, i) => i > 0 && journal < seen[i - 1].journal).map(({ at }) => at);
}
