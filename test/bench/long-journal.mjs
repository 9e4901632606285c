// What a long past costs: start-up of `run` (from its start to the command's first instruction) and `status`, on a run
// whose journal holds thousands of attempts against one that holds a single one.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { check, median, ms, option, printMachine, printTable, supervised } from './lib.mjs';
import { temporaryDir, timed, times, trainguard, wallMs } from './lib.mjs';

const attempts = option('attempts', 5000);
const rounds = option('rounds', 10);
const boundMs = 300;

const dir = temporaryDir('long-journal');
const began = path.join(dir, 'began');
const stateDir = (name) => path.join(dir, name);
const runDir = (name) => path.join(stateDir(name), 'runs/long');
printMachine();

// one real retry: its events are what the long pasts repeat
const flags = (name, more = []) => [
  '--name',
  'long',
  '--state-dir',
  stateDir(name),
  '--backoff-initial',
  '0',
  ...more,
];
await supervised(flags('short', ['--max-retries', '1']), ['false'], { cwd: dir, expect: 1 });
const past = await longPast(path.join(runDir('short'), 'journal.jsonl'), attempts);
for (const [name, write] of Object.entries({ long: asItGrows, unfolded: asOneFile })) {
  cpSync(stateDir('short'), stateDir(name), { recursive: true });
  rmSync(path.join(runDir(name), 'state.json'));
  rmSync(path.join(runDir(name), 'journal.jsonl'));
  await write(path.join(runDir(name), 'journal.jsonl'), past);
}

const seen = { short: [[], []], long: [[], []], unfolded: [[], []] };
for (let round = -1; round < rounds; round++) {
  for (const name of Object.keys(seen)) {
    // each start is the first on that journal
    rmSync(stateDir('copy'), { recursive: true, force: true });
    cpSync(stateDir(name), stateDir('copy'), { recursive: true });
    const status = await timed(process.execPath, [trainguard, 'status', '--state-dir', stateDir('copy')], {
      cwd: dir,
    });
    if (status.status !== 0) throw new Error(`status ended with ${status.status}: ${status.stderr}`);
    const from = wallMs();
    await supervised(flags('copy'), ['sh', '-c', 'date +%s%N >"$0"', began], { cwd: dir });
    if (round < 0) continue; // the first warms the page cache
    seen[name][0].push(Number(BigInt(readFileSync(began, 'utf8').trim())) / 1e6 - from);
    seen[name][1].push(status.wallMs);
  }
}

// other work on the machine only ever adds, so the least of several is what it takes
const least = (name, what) => Math.min(...seen[name][what]);
const ratio = (name, what) => least(name, what) / least('short', what);
printTable([
  ['journal', 'entries', 'size', 'start-up', 'median', 'ratio', 'status', 'ratio'],
  ...Object.entries(seen).map(([name, [start]]) => [
    { short: 'one retry', long: `${attempts} attempts`, unfolded: 'the same, never folded' }[name],
    ...sizeOf(path.join(runDir(name), 'journal.jsonl')),
    ms(least(name, 0)),
    ms(median(start)),
    times(ratio(name, 0)),
    ms(least(name, 1)),
    times(ratio(name, 1)),
  ]),
]);
check('start-up with a long past', least('long', 0), boundMs, ' ms');
check('the same, to one retry', ratio('long', 0), 1.2, ' ×');
check('status with a long past, to one retry', ratio('long', 1), 1.2, ' ×');

/** The policies and events of a run that failed so often. */
function longPast(file, wanted) {
  const entries = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).event);
  const exits = entries.flatMap((entry, i) => (entry.event?.type === 'exited' ? [i] : []));
  if (exits.length !== 2) throw new Error(`${exits.length} attempts instead of 2 in ${file}`);
  const [usual, ...events] = entries;
  const patient = { ...usual, policy: { ...usual.policy, maxRetries: wanted * 2, stopOnRepeat: undefined } };
  const retry = entries.slice(exits[0] + 1, exits[1] + 1);
  const retries = Array.from({ length: wanted - 1 }, () => retry).flat();
  // what ended the real run ends this one
  return [patient, ...events.slice(0, exits[0]), ...retries, usual, ...entries.slice(exits[1] + 1)];
}

/** Through the program's own journal, which folds. */
async function asItGrows(file, entries) {
  const { openHistory } = await import('../../dist/src/commands/history.js');
  const opened = await openHistory(file);
  if (!opened.ok) throw new Error(opened.error.message);
  const history = opened.value;
  const write = async (entry) =>
    entry.type === 'policy' ? await history.begin(entry.policy) : await history.append([entry.event]);
  for (const entry of entries) {
    const written = await write(entry);
    if (!written.ok) throw new Error(written.error.message);
  }
  await history.close();
}

/** As if nothing had ever been folded. */
function asOneFile(file, entries) {
  writeFileSync(file, entries.map((entry, i) => encode(i + 1, entry)).join(''));
}

function sizeOf(file) {
  const bytes = readFileSync(file);
  return [bytes.toString().trim().split('\n').length, `${(bytes.length / 1024).toFixed(0)} KiB`];
}

function encode(seq, event) {
  const payload = JSON.stringify(event);
  const sum = crc32(payload).toString(16).padStart(8, '0');
  return `{"schemaVersion":1,"seq":${seq},"check":"${sum}","event":${payload}}\n`;
}
