/**
 * The training step of a checkpoint (not the number in its name, which may count epochs, batches or saves).
 *
 * It is the heartbeat step seen at its last write. Heartbeats come seldom, a look comes late, and a script may save a
 * step before it reports it, so where the number in the name may be a step (it is not called an epoch or a batch), and
 * neither is twice as far as the other, the name is more exact. What was found only afterwards has no heartbeat of its own, so without such a name its step is
 * unknown. Pure.
 * @param seen the heartbeat step when its last write was noticed while the worker was alive
 * @param now the heartbeat step at this inspection
 */
export function stepOf(facts: {
  readonly number?: number;
  readonly mayBeStep: boolean;
  readonly seen?: number;
  readonly now?: number;
}): number | undefined {
  const { number, mayBeStep, seen } = facts;
  const heartbeat = seen ?? facts.now;
  if (heartbeat === undefined) return undefined;
  const near = number !== undefined && number <= heartbeat * 2 && number * 2 >= heartbeat;
  if (mayBeStep && near) return number;
  return seen;
}
