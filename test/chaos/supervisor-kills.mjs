// SIGKILL of the supervisor at random instants of digits runs that crash, hang, tear checkpoints and more, each followed
// by a new `run` at once: the same weights, the same trainers, no heartbeat lost or doubled.
// `npm run build && node test/chaos/supervisor-kills.mjs [rounds=200] [seed]`; a seed gives the same plans again.
import { faultNames, printTable, Round, seeded, sleep, steps } from './digits-round.mjs';
import { describePlan, twoAtATime, undisturbedDigest, Violation } from './digits-round.mjs';

const rounds = Number(process.argv[2] ?? 200);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000);
const digest = undisturbedDigest();
console.log(`seed ${seed}, undisturbed digest ${digest}`);

/** How long a run takes for each attempt, ms; learnt as they go, so that kills fall all over a run. */
let attemptMs = 1500;
/** A supervisor's own beginning, which gets a share of the kills of its own, ms. */
const beginningMs = 700;
const beginningShare = 0.2;
const seen = new Map();
let kills = 0;
let adopted = 0;
let heartbeats = 0;
let done = 0;

try {
  await twoAtATime([...Array(rounds).keys()], async (index) => {
    const random = seeded(seed * 1009 + index);
    const faults = planOf(random);
    const round = await killedRound(faults, random);
    heartbeats += round.heartbeats;
    for (const fact of round.killed) count(fact, round.adoption(fact));
    round.remove();
    done++;
    if (done % 20 === 0) console.log(`${done} of ${rounds} rounds, ${kills} kills`);
  });
} catch (error) {
  if (!(error instanceof Violation)) throw error;
  console.error(`VIOLATED: ${error.message}\nits folder is kept: ${error.dir}`);
  process.exitCode = 1;
}
const rows = [...seen.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
printTable([
  ['the kill fell', 'then', 'kills'],
  ...rows.map(([key, number]) => [...key.split(' → '), number]),
]);
console.log(
  `${done} of ${rounds} the same: exit 0, digest, trainers, heartbeats (${kills} kills, ${adopted} trainers adopted alive, ` +
    `${heartbeats} heartbeats)`,
);

function planOf(random) {
  const faults = [];
  const number = Math.floor(random() * 4);
  for (let attempt = 0; attempt < number; attempt++) {
    const from = 5 + (attempt * (steps - 10)) / number;
    const step = Math.floor(from + random() * ((steps - 10) / number - 1));
    faults.push({ fault: faultNames[Math.floor(random() * faultNames.length)], step });
  }
  return faults;
}

/** One round: the first supervisor is killed for certain, the next ones in some rounds. */
async function killedRound(faults, random) {
  const attempts = faults.length + 1;
  const early = random() < beginningShare;
  for (let share = random(); ; share *= 0.7) {
    const round = new Round(faults);
    try {
      const startedAt = Date.now();
      let supervisor = round.start();
      const delayMs = share * (early ? beginningMs : attempts * attemptMs) + (early ? 0 : beginningMs / 2);
      if (!(await killAfter(round, supervisor, delayMs))) {
        round.check(supervisor.status, digest);
        round.remove(); // it was over before: again, and earlier
        continue;
      }
      const more = [0.6, 0.9].filter((bound) => random() > bound).length;
      for (let again = 0; again < more; again++) {
        supervisor = round.start();
        const within = random() < 0.5 ? 2 * beginningMs : attempts * attemptMs;
        if (!(await killAfter(round, supervisor, random() * within))) break;
      }
      if (supervisor.status === 'SIGKILL') supervisor = round.start();
      round.check(await round.end(supervisor), digest);
      const tookMs = Date.now() - startedAt - (beginningMs / 2) * (1 + round.killed.length);
      attemptMs += 0.1 * (tookMs / round.attempts().length - attemptMs);
      return round;
    } catch (error) {
      round.endAll();
      if (error instanceof Violation) error.message += ` (plan "${describePlan(faults)}")`;
      throw error;
    }
  }
}

/** Kills a supervisor, and nothing else, after so many ms. @returns false: it was over before */
async function killAfter(round, supervisor, delayMs) {
  await Promise.race([sleep(delayMs), supervisor.ended]);
  if (supervisor.status !== undefined) return false;
  process.kill(supervisor.child.pid, 'SIGKILL');
  await supervisor.ended;
  round.noteKill();
  return supervisor.status === 'SIGKILL';
}

function count({ where }, then) {
  kills++;
  if (then === 'adopted alive') adopted++;
  const key = `${where} → ${then}`;
  seen.set(key, (seen.get(key) ?? 0) + 1);
}
