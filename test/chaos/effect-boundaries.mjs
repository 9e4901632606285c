// SIGKILL of the supervisor at every boundary of every effect of a run with a crash, a torn checkpoint, a NaN and a hang,
// each followed by a new `run`; then the same of a supervisor that has taken over a living trainer; and at every 10th
// change of the disk (all of them with --all, some with --every N). What must hold is what supervisor-kills.mjs checks.
// `npm run build && node test/chaos/effect-boundaries.mjs [--all | --every N] [--only TEXT]`; TEXT as in
// "one that adopts: effect launch"
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { printTable, Round, sleep, text, twoAtATime, undisturbedDigest, Violation } from './digits-round.mjs';

const preload = fileURLToPath(new URL('boundaries/preload.mjs', import.meta.url));
const every = process.argv.includes('--all') ? 1 : Number(argument('--every') ?? 10);
const only = argument('--only') ?? '';
/** What is decided by time (when a folder is looked at) may not come again the first time. */
const tries = 3;

const faults = [
  { fault: 'crash', step: 15 },
  { fault: 'torn', step: 33 },
  { fault: 'nan', step: 47 },
  { fault: 'hang', step: 64 },
];
const scenarios = { 'first supervisor': async () => undefined, 'one that adopts': killedWhileTraining };

const digest = undisturbedDigest();
console.log(`undisturbed digest ${digest}`);
const tasks = [];
for (const scenario of Object.keys(scenarios)) {
  const names = await boundariesOf(scenario);
  const effects = names.filter((name) => name.startsWith('effect '));
  const changes = names.filter((name) => !name.startsWith('effect '));
  const some = changes.filter((_, index) => index % every === 0);
  const chosen = [...effects, ...some].filter((name) => `${scenario}: ${name}`.includes(only));
  console.log(
    `${scenario}: ${effects.length} boundaries of effects, ${some.length} of ${changes.length} changes of the disk; ${chosen.length} rounds`,
  );
  tasks.push(...chosen.map((name) => ({ scenario, name })));
}

const results = new Map();
let done = 0;
let missed = 0;
try {
  await twoAtATime(tasks, async ({ scenario, name }) => {
    const reached = await killedAt(scenario, name);
    const [what, when] = describe(name);
    const key = `${scenario}|${what}|${when}`;
    const seen = results.get(key) ?? { rounds: 0, missed: 0 };
    results.set(key, { rounds: seen.rounds + 1, missed: seen.missed + (reached ? 0 : 1) });
    done++;
    if (!reached) missed++;
    if (done % 20 === 0) console.log(`${done} of ${tasks.length} boundaries`);
  });
} catch (error) {
  if (!(error instanceof Violation)) throw error;
  console.error(`VIOLATED: ${error.message}\nits folder is kept: ${error.dir}`);
  process.exitCode = 1;
}
printTable([
  ['killed', 'effect, or file', 'boundary', 'rounds', 'result'],
  ...[...results.entries()].map(([key, { rounds, missed }]) => [
    ...key.split('|'),
    rounds,
    missed === 0 ? 'the same' : `the same, ${missed} not reached`,
  ]),
]);
console.log(
  `${done} of ${tasks.length} the same: exit 0, digest, trainers, heartbeats` +
    (missed > 0 ? ` (${missed} were not reached in ${tries} tries: they hang on timing)` : ''),
);

/** The names of a scenario's boundaries in their order: a run that is not killed at any. */
async function boundariesOf(scenario) {
  const round = new Round(faults);
  const list = path.join(round.dir, 'boundaries');
  await scenarios[scenario](round);
  const status = await round.end(round.start(preloaded({ CHAOS_BOUNDARIES: list })));
  round.check(status, digest);
  const names = text(list).trimEnd().split('\n');
  round.remove();
  return names;
}

/** @returns whether the supervisor got there at all */
async function killedAt(scenario, name) {
  for (let tried = 0; tried < tries; tried++) {
    const round = new Round(faults);
    try {
      await scenarios[scenario](round);
      let supervisor = round.start(preloaded({ CHAOS_KILL_AT: name }));
      let status = await round.end(supervisor);
      const reached = status === 'SIGKILL';
      if (reached) {
        round.noteKill();
        supervisor = round.start();
        status = await round.end(supervisor);
      }
      round.check(status, digest);
      round.remove();
      if (reached) return true;
    } catch (error) {
      round.endAll();
      if (error instanceof Violation) error.message = `${scenario}, killed at "${name}": ${error.message}`;
      throw error;
    }
  }
  return false;
}

/** The supervisor before the one in question: killed while its first trainer is at work. */
async function killedWhileTraining(round) {
  const supervisor = round.start();
  while (!/^heartbeat step=3 /m.test(round.attempts()[0]?.out ?? '')) {
    if (supervisor.status !== undefined) throw round.violation(`it ended with ${supervisor.status}`);
    await sleep(5);
  }
  process.kill(supervisor.child.pid, 'SIGKILL');
  await supervisor.ended;
  round.noteKill();
}

function preloaded(env) {
  return { node: ['--import', preload], env };
}

/** An effect and which of its boundaries; of a change of the disk what is done, and the file's name. */
function describe(name) {
  const words = name.replace(/ #\d+$/, '').split(' ');
  if (words[0] === 'effect') return [words[1], words[2]];
  if (words[0] === 'spawn') return [`spawn ${words[1]}`, words[2]];
  return [path.basename(words.at(-1)), words.slice(0, -1).join(' ')];
}

function argument(flag) {
  const at = process.argv.indexOf(flag);
  return at < 0 ? undefined : process.argv[at + 1];
}
