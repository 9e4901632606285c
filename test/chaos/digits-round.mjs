// A run of the digits whose supervisor is killed again and again: how it is started, what is true at a kill, and what
// must hold of it afterwards. The trainer is unchanged; a sitecustomize module in front of it says who starts when.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('./', import.meta.url));
export const root = fileURLToPath(new URL('../../', import.meta.url));
export const trainguard = process.env.TRAINGUARD_BIN ?? path.join(root, 'bin/trainguard.js');

export const python = findPython();
export const steps = 80;
export const trainerCommand = [
  ...[python, path.join(root, 'fixtures/trainers/digits.py'), '--steps', String(steps)],
  ...['--save-every', '10', '--step-time', '0.01', '--phases'],
];

/** Longer than any round takes on a machine at work, ms. */
const longestMs = 120_000;
/** Above the longest start and interval of a trainer on a machine at work; only plans with a hang have it. */
const silence = ['--heartbeat-timeout', '3s', '--startup-timeout', '20s'];

/** What an attempt must end with: its exit status, and the failure that this is. */
const ends = {
  crash: { status: 1, kind: 'exception' },
  'exit:7': { status: 7, kind: 'unknown' },
  torn: { status: 137, kind: 'killed' },
  kill: { status: 137, kind: 'killed' },
  // these two are ended by the supervisor, whose SIGTERM the trainer obeys
  hang: { status: 143, kind: 'hang' },
  nan: { status: 143, kind: 'numeric' },
};
export const faultNames = Object.keys(ends);

/** Attempt i suffers `faults[i]`: `{ fault, step }`, in rising steps, so that each strikes whatever is resumed from. */
export const describePlan = (faults) =>
  faults
    .map(({ fault, step }, attempt) => {
      const planned = `${fault}@step=${step},attempt=${attempt}`;
      // a training gone bad must not be over before its supervisor is back
      return fault === 'nan' ? `${planned};hang@step=${step + 3},attempt=${attempt}` : planned;
    })
    .join(';');

/** A number from 0 to 1 a call, the same ones for the same seed. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What must hold and does not; the round's folder is kept. */
export class Violation extends Error {
  constructor(dir, text) {
    super(text);
    this.dir = dir;
  }
}

/** A folder of one round, and the commands that are started in it. */
export class Round {
  #started = 0;

  constructor(faults) {
    this.faults = faults;
    this.dir = mkdtempSync(path.join(tmpdir(), 'trainguard-chaos-'));
    this.run = path.join(this.dir, '.trainguard/runs/digits');
    this.killed = [];
    this.env = {
      ...cleanEnv(),
      DIGITS_FAULT: describePlan(faults),
      ...witnessed(path.join(this.dir, 'witness')),
    };
  }

  /** Starts `trainguard run`. Its events go to a file, as a reader of a pipe would be one more thing that may end. */
  start({ node = [], env = {} } = {}) {
    const events = path.join(this.dir, `supervisor-${this.#started++}.jsonl`);
    const [out, err] = [openSync(events, 'a'), openSync(`${events}.err`, 'a')];
    const timeouts = this.faults.some(({ fault }) => fault === 'hang') ? silence : [];
    const flags = ['--json', '--name', 'digits', '--checkpoint-dir', 'ckpts', '--max-retries', '20'];
    flags.push('--backoff-initial', '0.1', '--backoff-max', '0.3', '--stop-grace', '10s', ...timeouts);
    const child = spawn(process.execPath, [...node, trainguard, 'run', ...flags, '--', ...trainerCommand], {
      cwd: this.dir,
      env: { ...this.env, ...env },
      stdio: ['ignore', out, err],
    });
    closeSync(out);
    closeSync(err);
    const supervisor = { child, events, startedAt: Date.now(), endedAt: 0, status: undefined };
    supervisor.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        supervisor.endedAt = Date.now();
        supervisor.status = code ?? signal;
        resolve(supervisor.status);
      });
    });
    return supervisor;
  }

  /** Waits for a supervisor's end; one that never ends is a violation. */
  async end(supervisor) {
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, longestMs, 'late')));
    const status = await Promise.race([supervisor.ended, late]);
    clearTimeout(timer);
    if (status !== 'late') return status;
    supervisor.child.kill('SIGKILL');
    throw this.violation(`the supervisor of ${supervisor.events} did not end in ${longestMs / 1000} s`);
  }

  /** What is true now that a supervisor has been killed: remembered, since it must go on so. */
  noteKill() {
    const fact = { at: Date.now(), ...this.#where() };
    this.killed.push(fact);
    return fact;
  }

  #where() {
    const state = json(path.join(this.run, 'state.json'))?.state?.name ?? 'none';
    const attempt = this.attempts().at(-1);
    const events = this.journal();
    const last = events.at(-1)?.type ?? 'none';
    if (last === 'none' && attempt === undefined) return { state, where: 'before the first attempt' };
    const judged = events.filter(({ type }) => type === 'exited' || type === 'launch-abandoned').length;
    if (attempt === undefined || judged > attempt.number) return { state, where: `after ${last}` };
    if (attempt.pid === undefined) return { state, where: 'while launching', attempt: attempt.number };
    const { number, pid, since } = attempt;
    const alive = isAlive(pid, since);
    return {
      state,
      where: alive ? 'trainer alive' : 'trainer ended, not judged',
      attempt: number,
      pid,
      alive,
    };
  }

  /** The attempts' folders: number, the main pid and when the trainer started (clock ticks), its exit status. */
  attempts() {
    const dir = path.join(this.run, 'attempts');
    if (!existsSync(dir)) return [];
    const names = readdirSync(dir).filter((name) => /^\d+$/.test(name));
    return names.sort().map((name) => {
      const at = (file) => path.join(dir, name, file);
      const stat = /^(\d+) \(.*\) (.*\S)\n/.exec(text(at('pid')));
      const status = /^\s*(\d+)\s*\n/.exec(text(at('exit')))?.[1];
      return {
        number: Number(name),
        dir: path.join(dir, name),
        out: text(at('worker-0.out.log')),
        pid: stat ? Number(stat[1]) : undefined,
        since: stat?.[2].split(' ')[19],
        status: status === undefined ? undefined : Number(status),
        endedAt: status === undefined ? undefined : statSync(at('exit')).mtimeMs,
      };
    });
  }

  /** The journal's events, oldest first. */
  journal() {
    const lines = text(path.join(this.run, 'journal.jsonl')).split('\n');
    return lines.flatMap((line) => parsed(line)?.event?.event ?? []);
  }

  /** Holds the round to all that must be true once its last supervisor has ended. */
  check(status, digest) {
    const must = (holds, words) => {
      if (!holds) throw this.violation(words);
    };
    must(status === 0, `the last run exited ${status} instead of 0`);
    const attempts = this.attempts();
    const final = /^final .*digest=([0-9a-f]{64})$/m.exec(attempts.at(-1)?.out ?? '')?.[1];
    must(final === digest, `the digest is ${final} instead of ${digest}`);
    this.#checkStarts(attempts, must);
    this.#checkEnds(attempts, must);
    this.#checkMetrics(attempts, must);
    for (const { pid, number, since } of attempts) {
      must(pid === undefined || !isAlive(pid, since), `attempt ${number}'s trainer (pid ${pid}) still lives`);
    }
  }

  /** One trainer an attempt, never two at a time, and the one that was alive at a kill is still the attempt's own. */
  #checkStarts(attempts, must) {
    const starts = readWitness(path.join(this.dir, 'witness')).filter(({ word }) =>
      startWords.includes(word),
    );
    for (const { pid, attempt, word } of starts) {
      must(word === 'alone', `attempt ${attempt}'s trainer (pid ${pid}) started while another was alive`);
      const own = attempts.find(({ number }) => number === attempt)?.pid;
      must(own === pid, `attempt ${attempt} is pid ${own} on disk, but pid ${pid} trained as it`);
    }
    const numbers = starts.map(({ attempt }) => attempt);
    must(new Set(numbers).size === numbers.length, `an attempt was started twice: ${numbers.join(' ')}`);
    for (const { number, pid, out } of attempts) {
      const begun = out.match(/^heartbeat phase=startup$/gm)?.length ?? 0;
      must(begun <= 1, `attempt ${number}'s log has ${begun} beginnings`);
      must(
        (pid !== undefined) === numbers.includes(number),
        `attempt ${number}: pid ${pid}, but no such start`,
      );
    }
    for (const { alive, attempt, pid } of this.killed) {
      if (!alive) continue;
      const now = attempts.find(({ number }) => number === attempt)?.pid;
      must(
        now === pid,
        `pid ${pid} was alive as attempt ${attempt} at a kill; that attempt is pid ${now} now`,
      );
    }
  }

  /** Every attempt that trained ended as its plan says, undisturbed by what became of its supervisor. */
  #checkEnds(attempts, must) {
    const trained = attempts.filter(({ pid }) => pid !== undefined);
    const wanted = trained.map(({ number }) => {
      const fault = this.faults[number]?.fault;
      return fault === undefined ? { status: 0, kind: 'success' } : ends[fault];
    });
    for (const [index, { number, status }] of trained.entries()) {
      const { status: due } = wanted[index];
      must(status === due, `attempt ${number} ended with ${status} instead of ${due}`);
    }
    const judged = this.journal().filter(({ type }) => type === 'exited').length;
    must(
      judged === trained.length,
      `${trained.length} attempts trained, and the ends of ${judged} were judged`,
    );
    // a run that had completed when its supervisor was killed begins anew, and so does its list of failures
    const begunAnew = wanted.slice(0, -1).findLastIndex(({ kind }) => kind === 'success') + 1;
    const due = wanted.slice(begunAnew, -1).map(({ kind }) => kind);
    const kinds = (json(path.join(this.run, 'state.json'))?.state.ledger.failures ?? []).map(
      ({ kind }) => kind,
    );
    must(
      kinds.join(' ') === due.join(' '),
      `the failures are "${kinds.join(' ')}" instead of "${due.join(' ')}"`,
    );
  }

  /** metrics.jsonl holds every heartbeat of the logs once, in order, numbered without a gap. */
  #checkMetrics(attempts, must) {
    const lines = text(path.join(this.run, 'metrics.jsonl')).split('\n').slice(0, -1).map(parsed);
    const records = lines.map((line, index) => {
      must(line?.n === index, `line ${index + 1} of metrics.jsonl is numbered ${line?.n}`);
      const { step, phase } = line.heartbeat;
      return `${line.attempt}: ${phase === undefined ? `step=${step}` : `phase=${phase}`}`;
    });
    const printed = attempts.flatMap(({ number, out }) =>
      [...out.matchAll(/^heartbeat ((?:step|phase)=\S+)/gm)].map(([, beat]) => `${number}: ${beat}`),
    );
    const at = printed.findIndex((beat, index) => beat !== records[index]);
    must(
      at < 0,
      `metrics.jsonl: heartbeat ${at} is "${records[at]}" and was printed as "${printed[at]}" (${records.length} of ${printed.length} are there)`,
    );
    must(
      records.length === printed.length,
      `metrics.jsonl has ${records.length} of ${printed.length} heartbeats`,
    );
    this.heartbeats = printed.length;
  }

  /** What became of an attempt that was under way at a kill: how the next supervisor says it found it. */
  adoption({ at, attempt, pid, alive }) {
    if (attempt === undefined) return 'nothing under way';
    const next = this.journal().find((event) => event.at >= at && event.type === 'started');
    const answer = this.journal().find(
      (event) => event.at >= at && ['adopted', 'launch-abandoned', 'exited'].includes(event.type),
    );
    const { endedAt = Infinity } = this.attempts().find(({ number }) => number === attempt) ?? {};
    if (answer?.type === 'launch-abandoned') return 'launch given up';
    if (pid !== undefined && !alive) return 'judged afterwards';
    return next !== undefined && endedAt > next.at ? 'adopted alive' : 'ended meanwhile';
  }

  violation(words) {
    return new Violation(this.dir, words);
  }

  /** Ends what a violated round left running, so that only its folder stays. */
  endAll() {
    for (const { pid, since } of this.attempts()) {
      if (pid !== undefined && isAlive(pid, since)) process.kill(pid, 'SIGKILL');
    }
  }

  remove() {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The environment in which trainers say to `file` when they start, and how they end. */
export const witnessed = (file) => ({
  CHAOS_WITNESS: file,
  PYTHONPATH: path.join(here, 'witness'),
  PYTHONDONTWRITEBYTECODE: '1',
});

const startWords = ['alone', 'beside-another'];

/** What the trainers said: `{ pid, attempt, word }` in the order it happened. */
export function readWitness(file) {
  const lines = text(file).split('\n').slice(0, -1);
  return lines.map((line) => {
    const [pid, attempt, word] = line.split(' ');
    return { pid: Number(pid), attempt: Number(attempt), word };
  });
}

/** The digest of a training that nobody disturbs. */
export function undisturbedDigest() {
  const dir = mkdtempSync(path.join(tmpdir(), 'trainguard-chaos-'));
  const [file, ...args] = trainerCommand;
  const { stdout } = spawnSync(file, [...args, '--checkpoint-dir', 'ckpts'], {
    cwd: dir,
    env: cleanEnv(),
    encoding: 'utf8',
  });
  rmSync(dir, { recursive: true, force: true });
  const digest = /^final .*digest=([0-9a-f]{64})$/m.exec(stdout)?.[1];
  if (digest === undefined) throw new Error(`the undisturbed training has no digest:\n${stdout}`);
  return digest;
}

/** Works through tasks two at a time; the first one that throws ends it once the others under way are over. */
export async function twoAtATime(tasks, work) {
  const waiting = tasks.entries();
  let failed;
  const worker = async () => {
    for (const [index, task] of waiting) {
      if (failed) return;
      try {
        await work(task, index);
      } catch (error) {
        failed ??= error;
      }
    }
  };
  await Promise.all([worker(), worker()]);
  if (failed) throw failed;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Prints rows of cells under their heads, the first column to the left. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? String(cell).padEnd(widths[column]) : String(cell).padStart(widths[column]),
    );
    console.log(cells.join('   ').trimEnd());
  }
}

/** The environment, less what would change a trainer or its supervisor. */
export function cleanEnv() {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(TRAINGUARD|DIGITS|SLURM|KUBERNETES|PYTHON)/.test(name),
    ),
  );
}

/** Whether the process that a pid named then is alive; a zombie is not. */
export function isAlive(pid, since) {
  const fields = /^\d+ \(.*\) (.*)/.exec(text(`/proc/${pid}/stat`))?.[1].split(' ');
  return (
    fields !== undefined &&
    fields[0] !== 'Z' &&
    fields[0] !== 'X' &&
    (since === undefined || fields[19] === since)
  );
}

/** A file's text; nothing where there is none. */
export function text(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(error.code)) return '';
    throw error;
  }
}

const json = (file) => parsed(text(file));

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // a line that a kill cut
  }
}

/** The interpreter itself: the trainer's pid is then the attempt's, and a version manager costs nothing. */
function findPython() {
  const found = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' });
  if (found.status === 0) return found.stdout.trim();
  console.error('python3 was not found; the trainer needs Python 3.8 or later');
  process.exit(1);
}
