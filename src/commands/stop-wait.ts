import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findLivingWorker } from '../engines/local/launch-record.js';
import { describePlace } from '../report/describe-run.js';
import type { StateRecord } from '../report/status-view.js';
import { requestStop } from '../runs/requests.js';
import { readState, type Run } from '../runs/run-dir.js';
import { formatDuration } from '../util/duration.js';
import { readProcess } from '../util/os/proc.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { modifiedAt, type Supervision, type Supervisor, supervisionOf } from './supervision.js';

/** A run as `stop` finds it. A state.json that cannot be read keeps nobody from being stopped. */
export interface Found extends Supervision {
  readonly run: Run;
  readonly record: StateRecord | undefined;
}

export async function look(run: Run): Promise<Result<Found>> {
  const read = await readState<StateRecord>(run.paths.state);
  const record = read.ok ? read.value : undefined;
  const seen = await supervisionOf(run, record, Date.now());
  return seen.ok ? ok({ ...seen.value, run, record }) : seen;
}

/** How often the run is looked at, and how often it is said what is waited for, ms. */
const pollMs = 200;
const sayEveryMs = 30_000;
/** A supervisor of this host that does as it is told is not worth a word before, ms. */
const patienceMs = 10_000;

export interface StopWaiting {
  /** Once the run's next checkpoint is complete. */
  readonly afterCheckpoint?: boolean;
  /** Is told what is waited for. */
  readonly say?: (text: string) => void;
}

/**
 * Leaves the request, which its supervisor finds from any host, and waits, without a bound, until none holds the run;
 * a supervisor that comes in the place of the one that was asked is asked as well.
 * @returns a Problem if the supervisor went without having ended the run
 */
export async function stopAndWait(
  run: Run,
  {
    afterCheckpoint = false,
    say = (text) => process.stderr.write(`trainguard: ${text}\n`),
  }: StopWaiting = {},
): Promise<Result<void>> {
  const since = performance.now();
  let said: { readonly topic: string; readonly at: number } | undefined;
  let asked: { readonly of: Supervisor | undefined } | undefined;
  for (;;) {
    const found = await look(run);
    if (!found.ok) return found;
    const { active, supervisor } = found.value;
    if (!active) break;
    // looked first: a supervisor forgets what was asked before it showed itself
    if (!asked || (supervisor && asked.of && !isSame(supervisor, asked.of))) {
      const left = await requestStop(run.dir, {
        by: `pid ${process.pid} on host ${os.hostname()}`,
        afterCheckpoint,
        at: Date.now(),
      });
      if (!left.ok) return left;
      asked = { of: supervisor };
    }
    asked = { of: asked.of ?? supervisor };
    const now = performance.now();
    const taken = (await modifiedAt(path.join(run.paths.requests, 'stop'))) === undefined;
    const { topic, text, urgent } = waitingFor(found.value, taken, isSuspended(found.value), Date.now());
    if (topic !== said?.topic ? urgent || now - since > patienceMs : now - said.at > sayEveryMs) {
      say(text);
      said = { topic, at: now };
    }
    await sleep(pollMs);
  }
  // what it wrote last is only there for certain once it is gone
  const left = await look(run);
  return left.ok ? notActive(left.value) : left;
}

/** What `stop` waits for, in words; `urgent`: a person should know at once. */
export function waitingFor(
  { run, supervisor, record, writtenAt }: Found,
  taken: boolean,
  suspended: boolean,
  now: number,
): { readonly topic: string; readonly text: string; readonly urgent: boolean } {
  const away = supervisor !== undefined && supervisor.where !== 'here';
  const who = supervisor ? `pid ${supervisor.pid}${describePlace(supervisor)}` : 'it does not say who it is';
  const heard = writtenAt === undefined ? '' : `, heard of ${formatDuration(now - writtenAt)} ago`;
  const topic = suspended ? 'suspended' : taken ? 'taken' : 'asked';
  if (suspended && supervisor) {
    const text = `waiting for the supervisor of run ${run.name} (${who}), which is stopped itself (state T): "kill -CONT ${supervisor.pid}" lets it go on`;
    return { topic, text, urgent: true };
  }
  const worker = record && 'pid' in record.state ? ` (its worker: pid ${record.state.pid})` : '';
  const text = taken
    ? `the supervisor of run ${run.name} (${who}${heard}) has the request; waiting until the run has ended${worker}`
    : `waiting for the supervisor of run ${run.name} (${who}${heard}) to take the request`;
  return { topic, text, urgent: away };
}

/**
 * The pid of a worker that lives on, within sight, though nobody supervises its run; it is known by its attempt's
 * folder, so that no lost state.json hides it.
 */
export async function livingOrphan({ run, record, supervisor }: Found): Promise<number | undefined> {
  if (record?.state.name === 'ended') return undefined;
  if (supervisor?.where === 'other-host' || supervisor?.where === 'other-namespace') return undefined;
  return (await findLivingWorker(run.dir))?.pid;
}

/** What to make of a run that nobody supervises: nothing if it has ended, else a Problem that says what is known. */
export async function notActive(found: Found): Promise<Result<void>> {
  const { run, record, supervisor, writtenAt } = found;
  if (record?.state.name === 'ended') return ok(undefined);
  const problem = (text: string): Result<never> => fail(text, exitStatus.failed);
  if (supervisor?.where === 'other-host' || supervisor?.where === 'other-namespace') {
    const ago = writtenAt === undefined ? '' : ` ${formatDuration(Date.now() - writtenAt)} ago`;
    return problem(
      `the supervisor of run ${run.name} (pid ${supervisor.pid}${describePlace(supervisor)}) was last heard of${ago}, ` +
        `before it had ended the run; if its worker lives on there, end it there`,
    );
  }
  const pid = await livingOrphan(found);
  if (pid === undefined) return ok(undefined);
  return problem(
    `run ${run.name} has no supervisor any more, but its worker lives on: pid ${pid}; ` +
      `"trainguard attach ${run.name}" goes on with it, "trainguard stop ${run.name}" stops it`,
  );
}

const isSame = (a: Supervisor, b: Supervisor): boolean => a.pid === b.pid && a.host === b.host;

const isSuspended = ({ supervisor }: Found): boolean =>
  supervisor?.where === 'here' && readProcess(supervisor.pid)?.state === 'T';
