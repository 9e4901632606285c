import { type Bad, badWords, isBefore } from './bad.js';
import { type CheckpointFact, isUsable } from './checkpoint.js';

/** What is to be done with the checkpoint folder before the next attempt. */
export type RollbackChoice =
  | { readonly type: 'keep'; readonly resume?: CheckpointFact; readonly note?: string }
  | {
      readonly type: 'roll-back';
      /** undefined: nothing good is there, training starts from scratch. */
      readonly target?: CheckpointFact;
      /** Ids to move into quarantine, newest first. */
      readonly moves: readonly string[];
      readonly reason: string;
    }
  | { readonly type: 'stuck'; readonly reason: string };

export interface RollbackQuestion {
  /** Oldest first. */
  readonly checkpoints: readonly CheckpointFact[];
  readonly guessed: boolean;
  readonly rollbackEnabled: boolean;
  readonly allowScratch: boolean;
  /** Whether the run ever had a verified checkpoint. */
  readonly everVerified: boolean;
  /** An empty folder is no loss: the training had completed, or never was. */
  readonly mayBeginAnew: boolean;
  /** After a numeric failure: only checkpoints from before will do, safe ones first. */
  readonly bad?: Bad;
  /** What the framework would stumble over though the checkpoints are good, in words: a pointer that names none. */
  readonly disorder?: string;
}

/** Chooses the checkpoint that the next attempt resumes from, and what newer ones must go out of its way. */
export function chooseRollback(question: RollbackQuestion): RollbackChoice {
  const { checkpoints, everVerified, allowScratch } = question;
  const target = findTarget(question);
  const from = target ? checkpoints.indexOf(target) + 1 : 0;
  const inTheWay = checkpoints.slice(from).filter((checkpoint) => !checkpoint.spare).reverse(); // prettier-ignore
  if (!question.rollbackEnabled) return { type: 'keep', ...(target && { resume: target }) };
  const beginsAnew = question.mayBeginAnew && checkpoints.every((checkpoint) => checkpoint.spare);
  if (!target && everVerified && !allowScratch && !beginsAnew)
    return { type: 'stuck', reason: nothingGood(question) };
  if (inTheWay.length === 0 && !target?.spare && question.disorder === undefined)
    return { type: 'keep', ...(target && { resume: target }) };
  const foreign = question.guessed ? inTheWay.find((checkpoint) => !checkpoint.ours) : undefined;
  if (foreign) {
    return {
      type: 'keep',
      ...(target && { resume: target }),
      note:
        `${foreign.id} is ${foreign.standing} (${foreign.why}), but it was not written by this run and the folder was ` +
        'only guessed, so it stays where it is; name the folder with --checkpoint-dir to have it moved aside',
    };
  }
  return {
    type: 'roll-back',
    ...(target && { target }),
    moves: inTheWay.map((checkpoint) => checkpoint.id),
    reason: describe(question, inTheWay, target),
  };
}

function findTarget(question: RollbackQuestion): CheckpointFact | undefined {
  const { checkpoints, bad } = question;
  // one that is complete but could not be verified in time is not known to be bad
  const mayDo = (c: CheckpointFact): boolean => isUsable(c.standing) || c.standing === 'complete';
  const live = checkpoints.filter((checkpoint) => !checkpoint.spare);
  const newest = live.at(-1);
  const candidates = sparesCount(question, live) ? checkpoints : live;
  if (bad === undefined)
    // what was there and is not damaged stands as it is: who removed a newer one by hand meant it
    return newest && mayDo(newest) ? newest : candidates.findLast(mayDo);
  const before = candidates.filter((checkpoint) => isBefore(checkpoint, bad) === true);
  return (
    before.findLast((checkpoint) => checkpoint.standing === 'safe') ??
    before.findLast((checkpoint) => checkpoint.standing === 'verified')
  );
}

/** Spares of an earlier run are no reason to begin elsewhere than where the folder is: at nothing. */
const sparesCount = (question: RollbackQuestion, live: readonly CheckpointFact[]): boolean =>
  question.rollbackEnabled && (live.length > 0 || (question.everVerified && !question.mayBeginAnew));

function describe(
  question: RollbackQuestion,
  inTheWay: readonly CheckpointFact[],
  target: CheckpointFact | undefined,
): string {
  const newest = inTheWay[0];
  if (question.bad) {
    const aloud =
      target?.standing === 'verified'
        ? '; none before it is proven safe, so this is the newest verified one'
        : '';
    return `the training was bad from ${badWords(question.bad)} on${aloud}`;
  }
  if (newest) return `${newest.id} is ${newest.standing}: ${newest.why}`;
  if (target?.spare) return `no checkpoint is left in the folder; ${target.id} was kept in the vault`;
  return question.disorder ?? '';
}

function nothingGood({ checkpoints, bad }: RollbackQuestion): string {
  const found =
    checkpoints.length === 0
      ? 'the checkpoint folder is empty, though this run had a verified checkpoint'
      : bad === undefined
        ? `none of the ${checkpoints.length} checkpoints there can be trusted`
        : `no checkpoint from before ${badWords(bad)} can be trusted`;
  return `${found}; nothing was moved. Put a good checkpoint back, or pass --allow-scratch to train from the beginning`;
}
