import { formatDuration } from '../util/duration.js';
import { formatCount } from '../util/text.js';
import { unreachable } from '../util/unreachable.js';
import { shownOf } from './drill-advice.js';
import { type AttemptSeen, type DrillVerdict, notProven, type NoTarget } from './drill-facts.js';

/** The first attempt left nothing to resume from. */
export function withoutTarget(first: AttemptSeen, why: NoTarget): DrillVerdict {
  const { ended, lastStep } = first;
  const upTo = lastStep === undefined ? '' : ` (it came to step ${formatCount(lastStep)})`;
  if (ended && ended.failure.kind !== 'success' && why.type !== 'escaped')
    return notProven(
      'first-attempt-failed',
      `the training failed before it could be interrupted: ${ended.failure.reason}`,
      ...shownOf(ended.failure),
      'a drill needs a training that runs: start it by itself first',
    );
  switch (why.type) {
    case 'escaped':
      return notProven(
        'own-folder',
        `something was written into ${why.dir} meanwhile, so the drill was stopped`,
        'either the script saves there whatever its flags say: it must take the folder from its flag, or from os.environ["TRAINGUARD_CHECKPOINT_DIR"]',
        'or another training works in it: drill when that is over',
      );
    case 'damaged':
      return notProven(
        'damaged-checkpoint',
        `no checkpoint that a kill leaves behind can be trusted: ${why.why}`,
        'save to a temporary name and rename it when it is complete: os.replace(tmp, path)',
      );
    case 'at-the-end':
      return notProven(
        'only-at-the-end',
        `its only checkpoint, ${why.id}, is written at the end${upTo}: whatever ends it before that costs all`,
        'save every so many steps, not only after the loop',
      );
    case 'too-short':
      return notProven(
        'ended-too-soon',
        `it ended by itself${upTo} before it could be interrupted behind a checkpoint`,
        'let it train longer for the drill',
      );
    case 'none':
      if (why.timedOutAfterMs === undefined)
        return notProven(
          'no-checkpoint',
          `it ended without a checkpoint in its folder${upTo}`,
          'let it save every so many steps; if it saves elsewhere, name that folder with --checkpoint-dir',
        );
      return notProven(
        'no-checkpoint',
        `there was no complete checkpoint within ${formatDuration(why.timedOutAfterMs)}${upTo}`,
        'let it save sooner for the drill (its own flag), give the drill more --timeout, or name another --checkpoint-dir',
      );
    default:
      return unreachable(why);
  }
}
