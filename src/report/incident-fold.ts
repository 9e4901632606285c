import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { CheckpointFact } from '../policy/checkpoint.js';
import type { FailureRecord, State } from '../policy/state.js';
import type { Happening } from '../supervisor/parts.js';
import type { CheckpointName, Incident, IncidentEvidence, IncidentOutcome } from './incident.js';
import { deedsOf, rollbackOf } from './incident-deeds.js';

/** Where things of the run are, and what it is called. */
export interface IncidentPlaces {
  readonly run: string;
  attemptDir(attempt: number): string;
  /** Where quarantined checkpoints go; undefined: there is no vault. */
  vault(): string | undefined;
}

/** What the fold remembers from one happening to the next. */
export interface IncidentBook {
  /** The number of the next new incident. */
  readonly next: number;
  /** Those whose outcome or loss is not known yet, oldest first. */
  readonly open: readonly Incident[];
  /** When the newest attempt was launched, monotonic ms. */
  readonly launched?: { readonly attempt: number; readonly mono: number };
}

/** How many failures in a row without progress are kept open; what the older ones lost stays unknown. */
const mostOpen = 50;
/** A folder that is away for hours is told of once; so much else nobody reads. */
const mostDeeds = 100;

/**
 * What a happening adds to the incidents of a run. Pure. An attempt has one incident at most, so what an earlier
 * supervisor had begun is found again by its attempt, and what it could not write is made anew from the ledger.
 * @returns the book as it is now, and the incidents that are new or have changed
 */
export function foldIncidents(
  places: IncidentPlaces,
  before: IncidentBook,
  happening: Happening,
): { readonly book: IncidentBook; readonly changed: readonly Incident[] } {
  const book = opened(
    places,
    settled(noteLaunch(forgotten(before, happening), happening), happening),
    happening,
  );
  const open = book.open.map((incident) => went(places, incident, happening));
  const known = new Set(before.open);
  const changed = open.filter((incident) => !known.has(incident));
  const still = open.filter(({ outcome }) => outcome === null).slice(-mostOpen);
  return { book: { ...book, open: still }, changed };
}

/** A run that a person starts anew begins with a clean slate; one that was preempted goes on. */
function forgotten(book: IncidentBook, { event, before }: Happening): IncidentBook {
  const anew = event.type === 'started' && before.name === 'ended' && before.outcome !== 'preempted';
  return anew ? { ...book, open: [] } : book;
}

function noteLaunch(book: IncidentBook, { event, before }: Happening): IncidentBook {
  if (event.type === 'launched')
    return { ...book, launched: { attempt: before.ledger.attempt, mono: event.mono } };
  const { launched } = book;
  if (event.type !== 'started' || (before.name !== 'running' && before.name !== 'stopping')) return book;
  const { ledger, since } = before;
  if (launched?.attempt === ledger.attempt || before.name === 'stopping') return book;
  // monotonic times of another boot mean nothing here
  const mono = ledger.bootId === event.bootId ? since.mono : event.mono - Math.max(0, event.at - since.at);
  return { ...book, launched: { attempt: ledger.attempt, mono } };
}

/** The first progress after a failure shows what it cost. */
function settled(book: IncidentBook, { event, before, after }: Happening): IncidentBook {
  const progressed = event.type === 'progressed' ? before.name === 'running' : event.type === 'exited';
  if (!progressed || (event.type !== 'progressed' && event.type !== 'exited')) return book;
  if (event.summary.startMs === undefined) return book;
  const { attempt, lastAttempt, tally } = before.ledger;
  // what nobody counted is not known to be nothing
  const counted = lastAttempt?.lastStep !== undefined && event.summary.firstStep !== undefined;
  const lost = {
    steps: after.ledger.tally.lostSteps - tally.lostSteps,
    seconds: inSeconds(after.ledger.tally.lostMs - tally.lostMs),
  };
  const earlier = book.open.filter((incident) => incident.attempt < attempt);
  // attempts after the one that made these steps had none to lose
  const cost = earlier.findLast(({ step }) => step !== null);
  const open = book.open.map((incident) => {
    if (!earlier.includes(incident)) return incident;
    const share = incident === cost ? lost : { steps: 0, seconds: 0 };
    return { ...incident, outcome: 'recovered' as const, lost: counted ? share : null };
  });
  return { ...book, open };
}

/** Opens the incident of a failure, or brings it up to what is known of the failure by now. */
function opened(places: IncidentPlaces, book: IncidentBook, happening: Happening): IncidentBook {
  const failure = failureOf(happening.after);
  if (!failure) return book;
  const facts = factsOf(places, failure);
  const known = book.open.find(({ attempt }) => attempt === failure.attempt);
  if (known) {
    const now = { ...known, ...facts };
    if (isDeepStrictEqual(now, known)) return book;
    return { ...book, open: book.open.map((one) => (one === known ? now : one)) };
  }
  // a run that has ended remembers its last failure, which is closed
  if (happening.before.name === 'ended' && happening.event.type !== 'started') return book;
  const incident: Incident = {
    number: book.next,
    run: places.run,
    afterSeconds: afterSeconds(book, happening, failure.attempt),
    ...facts,
    ...{ rollbacks: [], waitedFor: [], done: [], next: null, lost: null, outcome: null },
    logs: places.attemptDir(failure.attempt),
  };
  // an attempt that could not even be launched was the next one all the same
  const { attempt, at, resumedFrom } = facts;
  const open = book.open.map((one) =>
    one.next === null ? { ...one, next: { attempt, at, resumedFrom } } : one,
  );
  return { ...book, next: book.next + 1, open: [...open, incident] };
}

/** The failure that is being dealt with: no attempt has been launched after it. */
export function failureOf(state: State): FailureRecord | undefined {
  if (state.name === 'inspecting' && state.after === 'failure') return state.failure;
  const last = state.ledger.failures.at(-1);
  return last?.attempt === state.ledger.lastLaunched ? last : undefined;
}

function afterSeconds({ launched }: IncidentBook, { event }: Happening, attempt: number): number | null {
  if (event.type !== 'exited') return null;
  const { startMs, trainMs = 0 } = event.summary;
  const trained = startMs === undefined ? undefined : startMs + trainMs;
  const lasted = launched?.attempt === attempt ? event.mono - launched.mono : undefined;
  if (trained === undefined && lasted === undefined) return null;
  // one that was taken over twice is only known to have lasted since
  return inSeconds(Math.max(trained ?? 0, lasted ?? 0));
}

const inSeconds = (ms: number): number => Math.round(ms) / 1000;

type Facts = Omit<
  Incident,
  | 'number'
  | 'run'
  | 'afterSeconds'
  | 'rollbacks'
  | 'waitedFor'
  | 'done'
  | 'next'
  | 'lost'
  | 'outcome'
  | 'logs'
>;

const factsOf = (places: IncidentPlaces, failure: FailureRecord): Facts => ({
  attempt: failure.attempt,
  at: new Date(failure.at).toISOString(),
  step: failure.step ?? null,
  badStep: failure.badStep ?? null,
  kind: failure.kind,
  cause: failure.reason,
  confidence: failure.confidence ?? null,
  evidence: failure.evidence.map((one) => placed(one, places.attemptDir(failure.attempt))),
  exit: failure.exit,
  signature: failure.signature ?? null,
  fingerprint: failure.fingerprint ?? null,
  stacks: failure.stacks ?? null,
  resumedFrom: nameOf(failure.resumedFrom),
  code: failure.code ?? null,
  codeChanged: failure.codeChanged ?? null,
  advice: failure.advice ?? null,
  action: failure.action === '' ? null : failure.action,
});

/** `worker-0.err.log:12` is the twelfth line of that file; `oom_kill` is none. */
function placed({ text, source }: { text: string; source: string }, attemptDir: string): IncidentEvidence {
  const [, name, line] = /^([^/]+\.log):(\d+)$/.exec(source) ?? [];
  const file = path.isAbsolute(source) ? source : name === undefined ? null : path.join(attemptDir, name);
  return { text, source, file, line: line === undefined ? null : Number(line) };
}

export const nameOf = (checkpoint: CheckpointFact | undefined): CheckpointName | null =>
  checkpoint ? { id: checkpoint.id, step: checkpoint.step ?? checkpoint.number ?? null } : null;

/** What the happening did about one open incident. */
function went(places: IncidentPlaces, incident: Incident, happening: Happening): Incident {
  const { event, before, after } = happening;
  const deeds = deedsOf(incident, happening).filter(
    ({ type, text }) => !incident.done.some((one) => one.type === type && one.text === text),
  );
  const outcome = incident.outcome ?? outcomeOf(happening);
  const launched = deeds.some(({ type }) => type === 'launched');
  const rollback = incident.next === null ? rollbackOf(happening, places.vault()) : undefined;
  const waitsFor = after.name === 'waiting' && event.type === 'host-not-ready' ? event.waitingFor : undefined;
  const waits = incident.next === null && waitsFor !== undefined && !incident.waitedFor.includes(waitsFor);
  if (deeds.length === 0 && outcome === incident.outcome && !rollback && !waits) return incident;
  return {
    ...incident,
    outcome,
    done: [...incident.done, ...deeds].slice(0, mostDeeds),
    ...(rollback && { rollbacks: [...incident.rollbacks, rollback] }),
    ...(waits && { waitedFor: [...incident.waitedFor, waitsFor] }),
    ...(launched &&
      (after.name === 'running' || after.name === 'stopping') && {
        next: {
          attempt: before.ledger.attempt,
          at: new Date(event.at).toISOString(),
          resumedFrom: nameOf(after.resume),
        },
      }),
  };
}

function outcomeOf({ before, after }: Happening): IncidentOutcome {
  if (after.name !== 'ended' || before.name === 'ended') return null;
  switch (after.outcome) {
    case 'completed':
      return 'recovered';
    case 'failed':
      return 'gave-up';
    case 'stopped':
      return 'stopped';
    case 'preempted':
      return null;
  }
}
