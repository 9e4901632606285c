import type { Effect } from '../policy/effect.js';
import { isUsable, roomToSave } from '../policy/checkpoint.js';
import type { Event, StopSource } from '../policy/event.js';
import type { State } from '../policy/state.js';
import { transition } from '../policy/transition.js';
import type { Instant } from '../progress/types.js';
import type { AttemptWatch } from './attempt-watch.js';
import { performEffect } from './effects.js';
import type { Live, Parts } from './parts.js';
import type { CheckpointFact } from './ports.js';
import { createQueue } from './queue.js';
import { createRecorder } from './record.js';
import { pollRequests } from './requests-poll.js';

/** An event without its time, which the loop adds when it is posted. */
export type Untimed<E = Event> = E extends Event ? Omit<E, 'at' | 'mono'> : never;

/** What effects and watchers may do to the loop. */
export interface Loop {
  readonly parts: Parts;
  post(event: Untimed): void;
  now(): Instant;
  state(): State;
  attempt: AttemptWatch | undefined;
  /** A rollback failed, perhaps half-way: it is finished forward before the folder is looked at again. */
  rollbackOpen: boolean;
  /** Aborted when the run has ended: nobody waits for what is still being done. */
  readonly over: AbortSignal;
  /** Aborted when a stop was asked for: the user's hooks are not waited for any more. */
  readonly stopped: AbortSignal;
  /** Aborted when a person does not want to wait for the end of an ended run either. */
  readonly hurried: AbortSignal;
  /** Work under way that must be over before the run ends; a rejection is a bug and ends the run. */
  keep(work: Promise<void>): void;
  /** Calls back once, unless the run ends first. */
  timer(delayMs: number, callback: () => void): void;
  sawCheckpoints(checkpoints: readonly CheckpointFact[]): void;
  /** What the next checkpoint is likely to need, by the last look; undefined: nobody knows. */
  saveBytes(): number | undefined;
  /** A checkpoint's standing was recorded. */
  marked(id: string, standing: CheckpointFact['standing']): void;
}

/** How old what was published may be while nothing changes, ms. */
const refreshMs = 30_000;

/** A supervisor at work. */
export interface Supervisor {
  /** The state the run ended in. */
  readonly ended: Promise<Extract<State, { name: 'ended' }>>;
  /** First call: stop gracefully. Any further call: at once. */
  requestStop(by: StopSource): void;
}

/** How often an unwritable journal is tried again, ms. */
const persistRetryMs = 1000;
const lastPersistTries = 10;
/** How long a stopped run may verify what it leaves behind, ms. */
const lastLookMs = 2000;

/**
 * Runs a run from `initial` to its end: takes an event, lets the policy decide, persists, then acts, and feeds what the
 * effects found back as events.
 */
export function supervise(parts: Parts, initial: State): Supervisor {
  const queue = createQueue<Event>();
  let state = initial;
  let stopAsked = false;
  let checkpoints: Live['checkpoints'];
  let lastSeen: readonly CheckpointFact[] = [];
  let said: Live | undefined;
  let saidMono = 0;
  const work = new Set<Promise<void>>();
  const timers = new Set<() => void>();
  const stopping = new AbortController();
  const hurry = new AbortController();
  const hurried = new Promise<void>((resolve) => {
    hurry.signal.addEventListener('abort', () => resolve());
  });
  let broken = false;
  let failWith: (bug: unknown) => void = () => undefined;
  const bug = new Promise<never>((_, reject) => {
    failWith = (error) => {
      broken = true;
      reject(error instanceof Error ? error : new Error(String(error)));
    };
  });
  const over = new AbortController();
  const recorder = createRecorder(parts);
  const loop: Loop = {
    parts,
    now: () => ({ at: parts.clock.now(), mono: parts.clock.mono() }),
    post: (event) => queue.push({ ...event, ...loop.now() }),
    state: () => state,
    attempt: undefined,
    rollbackOpen: false,
    over: over.signal,
    hurried: hurry.signal,
    stopped: stopping.signal,
    keep(promise) {
      work.add(promise);
      promise.then(() => work.delete(promise), failWith);
    },
    timer(delayMs, callback) {
      const cancel = parts.clock.after(delayMs, () => {
        timers.delete(cancel);
        callback();
      });
      timers.add(cancel);
    },
    sawCheckpoints(seen) {
      lastSeen = seen;
      // what the folder holds is what a restart takes; the vault's own only where that is all there is
      const usable = seen.filter((c) => isUsable(c.standing));
      const latest = usable.findLast((c) => !c.spare) ?? usable.at(-1);
      const safe = seen.findLast((c) => c.standing === 'safe');
      checkpoints = { ...(latest && { latest }), ...(safe && { safe }) };
    },
    saveBytes: () => roomToSave(lastSeen),
    marked(id, standing) {
      loop.sawCheckpoints(lastSeen.map((one) => (one.id === id ? { ...one, standing } : one)));
    },
  };

  async function run(): Promise<Extract<State, { name: 'ended' }>> {
    const { bootId, otherFolder } = parts;
    loop.post({ type: 'started', bootId, ...(otherFolder && { otherFolder }) });
    for (;;) {
      const event = await queue.next();
      // after a bug nothing is decided any more; the worker goes on without us
      if (broken) return await bug;
      const before = state;
      const step = transition(parts.policy, before, event);
      const saved = await persist(event, step.effects);
      state = step.state;
      parts.observe({ event, before, after: state, effects: step.effects });
      publish();
      for (const effect of step.effects) {
        if (saved || !mustBeSaved(effect)) performEffect(loop, effect);
        else refuse(effect);
      }
      if (state.name === 'ended') {
        over.abort();
        loop.attempt?.close();
        for (const cancel of timers) cancel();
        await Promise.race([Promise.all(work).then(lastLook).then(persistEnd), hurried]);
        publish();
        return state;
      }
    }
  }

  /**
   * Persist, then act. What starts or moves something waits until the disk takes the event, or until a person stops the
   * run; nothing else waits, since a full disk must not keep a training from being watched and stopped.
   * @returns whether the event is on disk
   */
  async function persist(event: Event, effects: readonly Effect[]): Promise<boolean> {
    let saved = await recorder.record(event);
    while (!saved && effects.some(mustBeSaved) && !stopAsked && !broken) {
      await wait(persistRetryMs);
      saved = await recorder.retry();
    }
    return saved;
  }

  /** What a stopped run leaves behind, for `status`; it ended without a look at the folder. */
  async function lastLook(): Promise<void> {
    if (state.name !== 'ended' || (state.outcome !== 'stopped' && state.outcome !== 'preempted')) return;
    await loop.attempt?.settled();
    const step = loop.attempt?.progress.step;
    const budgetMs = lastLookMs;
    const found = await parts.store?.inspect({ live: false, budgetMs, ...(step !== undefined && { step }) });
    if (found?.ok) loop.sawCheckpoints(found.value.checkpoints);
  }

  /** The end of a run is worth some patience, but not for ever: the exit status is due. */
  async function persistEnd(): Promise<void> {
    for (let tries = 0; tries < lastPersistTries; tries++) {
      if (await recorder.retry()) return;
      await wait(persistRetryMs);
    }
    parts.notice(
      'how the run ended could not be written down; run it again, and it is judged by what is on disk',
    );
  }

  const wait = (ms: number): Promise<void> => new Promise((resolve) => parts.clock.after(ms, resolve));

  /** Answers for an effect that was not performed because its event could not be saved. */
  function refuse(effect: Effect): void {
    const reason = 'the journal could not be written';
    if (effect.type === 'launch') loop.post(notStarted(reason));
    else if (effect.type === 'roll-back') loop.post({ type: 'rollback-failed', reason });
    else if (effect.type === 'undo') loop.post({ type: 'undone', left: reason });
    else performEffect(loop, effect);
  }

  /** Says what is true now; where nothing changed only now and then, for those who ask how fresh it is. */
  function publish(): void {
    const mono = parts.clock.mono();
    const live: Live = { state, ...loop.attempt?.live(), ...(checkpoints && { checkpoints }) };
    const news =
      live.state !== said?.state || live.progress !== said.progress || live.checkpoints !== said.checkpoints;
    if (!news && mono - saidMono < refreshMs) return;
    said = live;
    saidMono = mono;
    parts.publish(live);
  }

  // requests are looked for as long as the run lasts, also while it waits; a worker's own clock ticks in its watch
  const ended = Promise.race([run(), bug]);
  const poll = pollRequests(
    loop,
    ({ by, atCheckpoint }) => {
      if (atCheckpoint) loop.post({ type: 'stop-requested', by, atCheckpoint });
      else requestStop(by);
    },
    publish,
  );
  const settle = (): void => {
    poll.cancel();
    loop.attempt?.close();
    for (const cancel of timers) cancel();
  };
  ended.then(settle, settle);

  function requestStop(by: StopSource): void {
    if (state.name === 'ended') hurry.abort();
    // a request may be made twice by mistake; only a second signal means now
    if (stopAsked && by !== 'warning' && by !== 'request') loop.post({ type: 'stop-forced' });
    else loop.post({ type: 'stop-requested', by });
    // a warning leaves time: the signal after it is the first that stops
    if (by !== 'warning') {
      stopAsked = true;
      stopping.abort();
    }
  }
  return { ended, requestStop };
}

/** An attempt that never came to be. */
export const notStarted = (message: string, code = 'EIO'): Untimed => ({
  type: 'exited',
  exit: { type: 'not-started', code, message },
  failure: { kind: 'storage', reason: message, evidence: [], confidence: 0.5 },
  summary: { heartbeats: 0, longestPhaseMs: {} },
});

/** Effects that must never be done without the event that asked for them being on disk. */
const mustBeSaved = ({ type }: Effect): boolean =>
  type === 'launch' || type === 'roll-back' || type === 'undo';
