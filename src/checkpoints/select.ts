import { isUsable, type CheckpointFact } from '../policy/checkpoint.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { formatCount, nearest } from '../util/text.js';

/**
 * The checkpoint that `rollback --to` means. Pure.
 * @param checkpoints oldest first
 * @param selector `latest`, `previous`, `best`, `safe`, `step:N` or an id
 * @param best the id that the framework itself records as the best, if it does
 */
export function selectCheckpoint(
  checkpoints: readonly CheckpointFact[],
  selector: string,
  best?: string,
): Result<CheckpointFact> {
  const usable = checkpoints.filter((one) => isUsable(one.standing));
  const found = (one: CheckpointFact | undefined, otherwise: string): Result<CheckpointFact> =>
    one ? ok(one) : fail(`${otherwise}; ${listed(checkpoints)}`, exitStatus.usage);
  switch (selector) {
    case 'latest':
      return found(usable.at(-1), 'no checkpoint here is verified');
    case 'previous':
      return found(usable.at(-2), 'there is no verified checkpoint before the latest one');
    case 'safe':
      return found(
        usable.findLast((one) => one.standing === 'safe'),
        'no checkpoint is proven safe yet; --to latest takes the newest verified one',
      );
    case 'best':
      if (best === undefined) return found(undefined, 'no metric is recorded that says which checkpoint is the best');
      return trusted(checkpoints.find((one) => one.id === best), `the best checkpoint, ${JSON.stringify(best)}, is gone`, checkpoints); // prettier-ignore
    default:
  }
  const step = /^step:(\d+)$/.exec(selector)?.[1];
  if (step !== undefined) return atStep(checkpoints, Number(step));
  const near = nearest(selector, ['latest', 'previous', 'best', 'safe', ...checkpoints.map((one) => one.id)]);
  const hint = near === undefined ? '' : ` (did you mean ${JSON.stringify(near)}?)`;
  const unknown = `there is no checkpoint ${JSON.stringify(selector)}${hint}`;
  return trusted(
    checkpoints.find((one) => one.id === selector),
    unknown,
    checkpoints,
  );
}

const stepOf = (one: CheckpointFact): number | undefined => one.step ?? one.number;

function atStep(checkpoints: readonly CheckpointFact[], step: number): Result<CheckpointFact> {
  const exact = checkpoints.filter((one) => stepOf(one) === step);
  const one = exact.findLast((candidate) => isUsable(candidate.standing)) ?? exact.at(-1);
  const byDistance = checkpoints
    .filter((candidate) => isUsable(candidate.standing) && stepOf(candidate) !== undefined)
    .sort((a, b) => Math.abs((stepOf(a) ?? 0) - step) - Math.abs((stepOf(b) ?? 0) - step));
  const near = byDistance[0];
  const hint = near
    ? `; the nearest is ${JSON.stringify(near.id)} at step ${formatCount(stepOf(near) ?? 0)}`
    : '';
  return trusted(one, `no checkpoint is at step ${formatCount(step)}${hint}`, checkpoints);
}

/** What was asked for by its own name must still be one that training can go on from. */
function trusted(
  one: CheckpointFact | undefined,
  unknown: string,
  all: readonly CheckpointFact[],
): Result<CheckpointFact> {
  if (!one) return fail(`${unknown}; ${listed(all)}`, exitStatus.usage);
  if (one.standing === 'tainted' || one.standing === 'suspect' || isUsable(one.standing)) return ok(one);
  return fail(`${JSON.stringify(one.id)} is ${one.standing} (${one.why}); ${bestLeft(all, one.id)}`, exitStatus.usage); // prettier-ignore
}

/**
 * What to take instead of one that cannot be trusted, in words: the newest safe one, else the newest verified one.
 * @param all oldest first
 * @param but the id of the one that cannot
 */
export function bestLeft(all: readonly CheckpointFact[], but: string): string {
  const others = all.filter((one) => one.id !== but);
  const best =
    others.findLast((one) => one.standing === 'safe') ??
    others.findLast((one) => one.standing === 'verified');
  if (!best) return `no checkpoint is left that can be trusted; ${listed(all)}`;
  const step = stepOf(best);
  const at = step === undefined ? '' : `step ${formatCount(step)}, `;
  return `the best one left is ${JSON.stringify(best.id)} (${at}${best.standing})`;
}

const mostListed = 20;

function listed(checkpoints: readonly CheckpointFact[]): string {
  if (checkpoints.length === 0) return 'there are no checkpoints';
  const some = checkpoints.slice(-mostListed).map((one) => {
    const step = one.step === undefined ? '' : ` at step ${formatCount(one.step)}`;
    return `${JSON.stringify(one.id)}${step} (${one.standing})`;
  });
  const more = checkpoints.length - some.length;
  return `there are ${some.join(', ')}${more > 0 ? ` and ${formatCount(more)} older ones` : ''}`;
}
