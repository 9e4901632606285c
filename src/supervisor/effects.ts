import type { Effect } from '../policy/effect.js';
import { unreachable } from '../util/unreachable.js';
import { adoptAttempt, startAttempt } from './attempt-watch.js';
import { inspect, mark, rollBack, undo } from './folder-effects.js';
import type { Loop } from './supervise.js';

/** How often the host is looked at again while something is waited for, ms. */
const checkHostEveryMs = 2000;

/** Does what the policy asked for. Never throws and never waits: what comes of it is posted as an event. */
export function performEffect(loop: Loop, effect: Effect): void {
  switch (effect.type) {
    case 'inspect':
      loop.keep(inspect(loop, effect));
      return;
    case 'roll-back':
      loop.keep(rollBack(loop, effect));
      return;
    case 'undo':
      loop.keep(undo(loop, effect));
      return;
    case 'wait':
      loop.timer(effect.delayMs, () => loop.post({ type: 'backoff-elapsed' }));
      return;
    case 'check-host':
      loop.keep(checkHost(loop, effect));
      return;
    case 'launch':
      loop.keep(startAttempt(loop, effect));
      return;
    case 'adopt':
      loop.keep(adoptAttempt(loop, effect));
      return;
    case 'stop-worker': {
      const { signal, graceMs, dumpStacks, preempted } = effect;
      loop.attempt?.order((worker) => worker.stop({ signal, graceMs, dumpStacks, preempted }));
      return;
    }
    case 'kill-worker':
      loop.attempt?.order((worker) => worker.kill());
      return;
    case 'dump-stacks':
      loop.attempt?.order((worker) => loop.keep(worker.dumpStacks()));
      return;
    case 'mark':
      loop.keep(mark(loop, effect));
      return;
    case 'tell':
      loop.parts.notice(effect.text);
      return;
    case 'finish':
      loop.keep(endHook(loop));
      return;
    default:
      unreachable(effect);
  }
}

async function checkHost(loop: Loop, effect: Extract<Effect, { type: 'check-host' }>): Promise<void> {
  // the vault's spare goes before an attempt has to wait for room
  await loop.parts.store?.retain();
  const before = loop.state();
  const failure = before.ledger.failures.at(-1);
  const answer = await loop.parts.checkHost({
    after: effect.after,
    ...(failure && { failure }),
    saveBytes: loop.saveBytes(),
    waitedMs: before.name === 'waiting' ? loop.now().mono - before.since.mono : 0,
    signal: loop.over,
  });
  if (answer.type === 'ready') {
    loop.post({ type: 'host-ready', ...(answer.env && { env: answer.env }) });
    return;
  }
  if (answer.type === 'never') {
    loop.post({ type: 'host-not-ready', waitingFor: answer.why, permanent: true });
    return;
  }
  const waitingFor = answer.for;
  const known = loop.state();
  const news = known.name !== 'waiting' || known.waitingFor !== waitingFor;
  if (news) loop.post({ type: 'host-not-ready', waitingFor });
  loop.timer(checkHostEveryMs, () => {
    const state = loop.state();
    if (state.name !== 'waiting') return;
    // the policy judges how long is too long; nothing new is not worth a line in the journal every time
    if (loop.now().mono - state.since.mono > loop.parts.policy.outageWindowMs) {
      loop.post({ type: 'host-not-ready', waitingFor });
    }
    loop.keep(checkHost(loop, effect));
  });
}

/** The end is decided: what the hook says changes nothing any more. */
async function endHook(loop: Loop): Promise<void> {
  const state = loop.state();
  if (state.name !== 'ended' || (state.outcome !== 'failed' && state.outcome !== 'completed')) return;
  const { ledger, reason, outcome } = state;
  const failure = outcome === 'failed' ? ledger.failures.at(-1) : undefined;
  const context = { attempt: ledger.lastLaunched ?? 0, reason, ...(failure && { failure }) };
  await loop.parts.runHook(outcome === 'failed' ? 'onGiveUp' : 'onComplete', context, loop.hurried);
}
