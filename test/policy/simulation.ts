import assert from 'node:assert/strict';
import path from 'node:path';
import type { Exit, Failure } from '../../src/failure/types.js';
import type { CheckpointFact } from '../../src/policy/checkpoint.js';
import type { Effect } from '../../src/policy/effect.js';
import type { Event, ProgressSummary, StopSource } from '../../src/policy/event.js';
import type { Policy } from '../../src/policy/policy.js';
import type { FailureRecord, State } from '../../src/policy/state.js';
import { initialState, transition } from '../../src/policy/transition.js';
import type { HealthFinding } from '../../src/progress/types.js';
import { code, deepFreeze, policy as defaults, saved, steps } from './kit.js';

type Untimed<E = Event> = E extends Event ? Omit<E, 'at' | 'mono'> : never;
type Ended = Extract<State, { name: 'ended' }>;
type Launch = Extract<Effect, { type: 'launch' }>;

export interface Simulation {
  state: State;
  /** What the checkpoint folder holds, oldest first; a rollback takes from it. */
  folder: CheckpointFact[];
  guessed: boolean;
  /** Set: the folder cannot be read, or changed. */
  folderError: string | undefined;
  rollbackError: string | undefined;
  /** What the host is short of. */
  waitingFor: string | undefined;
  jitter: number;
  /** What the user's hook says of the next failures. */
  veto: string | undefined;
  /** What reading a checkpoint's bytes again finds: damage, null for none, undefined where that cannot be done. */
  damaged: (path: string) => string | null | undefined;
  readonly journal: Event[];
  readonly effects: Effect[];
  readonly launches: Launch[];
  readonly delaysMs: number[];
  readonly quarantined: string[];
  /** The ends of the run so far. */
  readonly ends: Ended[];
  /** Effects of this type are not answered until `release`. */
  hold(type: Effect['type']): void;
  release(): void;
  /** One event, and nothing else. Answers the types of the effects. */
  post(event: Untimed): Effect['type'][];
  /** Answers effects until there are none left to answer. */
  settle(): void;
  pass(ms: number): void;
  /** A supervisor begins; goes on until a worker runs or the run ended. */
  start(): void;
  /** The attempt reports progress from the first step on, and saves checkpoints that are found good meanwhile. */
  progress(first: number, last?: number, saves?: readonly number[]): void;
  /** The attempt ends by itself; goes on until the next one runs or the run ended. */
  exit(how: { exit?: Exit; failure: Failure; summary?: ProgressSummary }): void;
  stop(by?: StopSource): void;
  hang(summary?: ProgressSummary, exit?: Exit): void;
  goBad(finding: HealthFinding, summary: ProgressSummary, exit?: Exit): void;
  ended(): Ended;
  lastFailure(): FailureRecord;
}

/** A run in virtual time, whose surroundings answer every effect at once. What the policy is given is frozen. */
export function simulate(change: Partial<Policy> = {}, unset: readonly (keyof Policy)[] = []): Simulation {
  const settings = Object.entries(defaults(change)).filter(([key]) => !unset.includes(key as keyof Policy));
  const policy = deepFreeze(Object.fromEntries(settings) as unknown as Policy);
  let atMs = 1_700_000_000_000;
  let pending: Effect[] = [];
  let held: Effect[] = [];
  const holding = new Set<Effect['type']>();

  /** What each rollback moved and what it left, by its transaction. */
  const moved = new Map<string, { leaving: CheckpointFact[]; stayed: CheckpointFact[] }>();

  const answer = (effect: Effect): void => {
    if (holding.has(effect.type)) {
      held.push(effect);
      return;
    }
    switch (effect.type) {
      case 'inspect':
        if (sim.folderError === undefined) {
          const { guessed, jitter, veto } = sim;
          const reread = effect.reread === undefined ? undefined : sim.damaged(effect.reread);
          sim.post({
            ...{ type: 'inspected', checkpoints: [...sim.folder], guessed, jitter },
            ...(veto !== undefined && { veto }),
            ...(reread !== undefined && { resumedDamage: reread }),
          });
        } else {
          sim.post({ type: 'inspection-failed', reason: sim.folderError, jitter: sim.jitter });
        }
        return;
      case 'roll-back': {
        const before = sim.folder;
        if (sim.rollbackError !== undefined) {
          sim.post({ type: 'rollback-failed', reason: sim.rollbackError });
          return;
        }
        const tx = effect.tx ?? `tx-${moved.size + 1}`;
        const leaving = before.filter(({ id }) => effect.moves.includes(id));
        moved.set(tx, { leaving, stayed: before.filter((one) => !leaving.includes(one)) });
        sim.folder = before
          .filter(({ id }) => !effect.moves.includes(id))
          .map((one) => (one.id === effect.target ? putBack(one) : one));
        sim.quarantined.push(...effect.moves);
        sim.post({ type: 'rolled-back', quarantined: effect.moves, tx });
        return;
      }
      case 'undo':
        for (const { tx } of effect.transactions) {
          const { leaving = [], stayed = [] } = moved.get(tx) ?? {};
          const still = sim.folder.filter((one) => stayed.some(({ id }) => id === one.id));
          sim.folder = [...still, ...leaving].sort((a, b) => (a.step ?? 0) - (b.step ?? 0));
        }
        sim.post({ type: 'undone' });
        return;
      case 'mark':
        sim.folder = sim.folder.map((c) => (c.id === effect.id ? { ...c, standing: effect.standing } : c));
        return;
      case 'wait':
        sim.pass(effect.delayMs);
        sim.post({ type: 'backoff-elapsed' });
        return;
      case 'check-host':
        if (sim.waitingFor === undefined) sim.post({ type: 'host-ready' });
        else sim.post({ type: 'host-not-ready', waitingFor: sim.waitingFor });
        return;
      case 'launch':
        sim.post({ type: 'launched', pid: 1000 + effect.attempt });
        return;
      default:
        // the rest is answered by how the worker ends, which the scenario says
        return;
    }
  };

  const sim: Simulation = {
    state: initialState(),
    folder: [],
    guessed: false,
    folderError: undefined,
    rollbackError: undefined,
    waitingFor: undefined,
    jitter: 0,
    veto: undefined,
    damaged: () => null,
    journal: [],
    effects: [],
    launches: [],
    delaysMs: [],
    quarantined: [],
    ends: [],
    hold: (type) => holding.add(type),
    release() {
      holding.clear();
      pending.push(...held);
      held = [];
      sim.settle();
    },
    post(untimed) {
      const event = deepFreeze({ ...untimed, at: atMs, mono: atMs - 1_699_000_000_000 });
      const step = transition(policy, sim.state, event);
      sim.journal.push(event);
      if (step.state.name === 'ended' && sim.state.name !== 'ended') sim.ends.push(step.state);
      sim.state = deepFreeze(step.state);
      for (const effect of step.effects) {
        sim.effects.push(effect);
        if (effect.type === 'launch') sim.launches.push(effect);
        if (effect.type === 'wait') sim.delaysMs.push(effect.delayMs);
      }
      pending.push(...step.effects);
      return step.effects.map(({ type }) => type);
    },
    settle() {
      for (let turns = 0; pending.length > 0; turns++) {
        assert.ok(turns < 100_000, 'the run never comes to rest');
        const effects = pending;
        pending = [];
        effects.forEach(answer);
      }
    },
    pass(ms) {
      atMs += ms;
    },
    start() {
      sim.post({ type: 'started', bootId: 'boot-1' });
      sim.settle();
    },
    progress(first, last = first, saves = []) {
      sim.post({ type: 'progressed', summary: steps(first) });
      for (const step of saves) {
        sim.pass(1000);
        const checkpoint = saved(step);
        sim.folder.push(checkpoint);
        sim.post({ type: 'checkpoint-verified', checkpoint });
      }
      sim.pass((last - first) * 1000);
    },
    exit({ exit = code(1), failure, summary = steps() }) {
      sim.post({ type: 'exited', exit, failure, summary });
      sim.settle();
    },
    stop(by = 'interrupt') {
      sim.post({ type: 'stop-requested', by });
      sim.settle();
    },
    hang(summary = steps(1, 5), exit = code(0)) {
      const silence = { silentMs: 600_000, basis: '5 × the longest interval seen' };
      sim.post({ type: 'deadline', which: 'silence', ...silence });
      sim.exit({ exit, failure: { kind: 'unknown', reason: '', evidence: [], confidence: 0 }, summary });
    },
    goBad(finding, summary, exit = { type: 'signal', signal: 'SIGTERM', number: 15 }) {
      sim.post({ type: 'unhealthy', finding });
      sim.exit({ exit, failure: { kind: 'killed', reason: '', evidence: [], confidence: 0 }, summary });
    },
    ended() {
      assert.equal(sim.state.name, 'ended');
      return sim.state;
    },
    lastFailure() {
      const last = sim.state.ledger.failures.at(-1);
      assert.ok(last, 'no failure is recorded');
      return last;
    },
  };
  return sim;
}

/** What was kept in the vault lies in the folder again, under its old name. */
function putBack({ spare: _vault, ...fact }: CheckpointFact): CheckpointFact {
  return { ...fact, id: path.posix.basename(fact.path) };
}
