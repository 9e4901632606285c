import type { Event } from '../policy/event.js';
import type { Policy } from '../policy/policy.js';
import type { State } from '../policy/state.js';
import { initialState, transition } from '../policy/transition.js';
import type { StateRecord } from '../report/status-view.js';
import { Journal, type JournalOptions } from '../runs/journal.js';
import { ok, type Result } from '../util/result.js';

/** A line of a run's journal: what decides from here on, what happened, or all that came before in short. */
export type Entry =
  | { readonly type: 'policy'; readonly policy: Policy }
  | { readonly type: 'event'; readonly event: Event }
  | { readonly type: 'snapshot'; readonly state: State };

/** A run's past, and the place where its present is written down. */
export interface History {
  /** Where the run stood after its last event. */
  readonly state: State;
  /** The number of the newest entry that is on disk: what state.json remembers. */
  readonly last: number;
  /** The journal had lost its end; in words. */
  readonly restored?: string;
  begin(policy: Policy): Promise<Result<void>>;
  append(events: readonly Event[]): Promise<Result<void>>;
  close(): Promise<void>;
}

/** A journal of more entries than this is folded into a snapshot of what they come to. */
const foldAbove = 2000;

/**
 * Opens a run's journal and replays it: the same events under the same policies give the same state. A journal that
 * ends before the entry that state.json remembers has lost its end (a journal is on disk before any state says so);
 * then state.json knows better.
 */
export async function openHistory(
  file: string,
  known?: StateRecord,
  options: JournalOptions = {},
): Promise<Result<History>> {
  const opened = await Journal.open<Entry>(file, options);
  if (!opened.ok) return opened;
  const { entries, journal } = opened.value;
  const from = journal.last;
  const to = known?.journal ?? 0;
  const lost = known && to > from ? known : undefined;
  const state = lost ? lost.state : replayEntries(entries);
  let restored: string | undefined;
  if (lost) {
    const kept = await journal.restore({ type: 'snapshot', state }, to);
    if (!kept.ok) {
      await journal.close();
      return kept;
    }
    const where = kept.value === undefined ? '' : ` (what is left of it is kept as ${kept.value})`;
    restored = `the journal ${file} lost its entries ${from + 1} to ${to}${where}; the run goes on from what state.json remembers`;
  }
  let policy: Policy | undefined;
  let now = state;
  let length = lost ? 1 : entries.length;
  /** A long past is taken out when it is, not when somebody waits for a start. What fails is tried again. */
  const fold = async (more: number): Promise<void> => {
    length += more;
    if (length <= foldAbove || !policy) return;
    const folded = await journal.compact([
      { type: 'snapshot', state: now },
      { type: 'policy', policy },
    ]);
    if (folded.ok) length = 2;
  };
  return ok({
    state,
    get last() {
      return journal.last;
    },
    ...(restored !== undefined && { restored }),
    async begin(next) {
      policy = next;
      const begun = await journal.append([{ type: 'policy', policy }]);
      if (begun.ok) await fold(1);
      return begun;
    },
    async append(events) {
      const written = await journal.append(events.map((event) => ({ type: 'event', event })));
      if (!written.ok) return written;
      for (const event of events) if (policy) now = transition(policy, now, event).state;
      if (events.length > 0) await fold(events.length);
      return written;
    },
    close: () => journal.close(),
  });
}

/** Folds a journal. Events before the first policy cannot be judged and change nothing. */
export function replayEntries(entries: readonly Entry[]): State {
  let state = initialState();
  let policy: Policy | undefined;
  for (const entry of entries) {
    if (entry.type === 'policy') policy = entry.policy;
    else if (entry.type === 'snapshot') state = entry.state;
    else if (policy) state = transition(policy, state, entry.event).state;
  }
  return state;
}
