import { formatDuration } from '../util/duration.js';
import { formatCount } from '../util/text.js';
import { loadLine, lossWentOn, newMentions, saysItLoaded, shownOf, spelled, useOf } from './drill-advice.js';
import { type AttemptSeen, type DrillFacts, type DrillTarget, type DrillVerdict, notProven } from './drill-facts.js'; // prettier-ignore
import { withoutTarget } from './drill-without-target.js';

/** Says whether a drill has proven that the training resumes, and if not, what is missing. Pure. */
export function judgeDrill(facts: DrillFacts): DrillVerdict {
  const { first, second, target } = facts;
  if ('type' in target) return withoutTarget(first, target);
  if (!second) return notProven('no-steps', 'it was not relaunched');
  if (second.firstStep === undefined) return withoutStep(facts, target, second);
  if (first.firstStep === undefined || target.step === undefined) return unknownSteps(target);
  const { firstStep: began } = second;
  const at = `step ${formatCount(began)}`;
  const saved = `${target.id}, saved at step ${formatCount(target.step)}`;
  const furthest = Math.max(target.step, first.lastStep ?? 0) + Math.max(1, first.largestGap);
  if (began > first.firstStep && began >= target.step && began <= furthest) {
    return {
      proven: true,
      cause: 'resumed',
      words: `it went on at ${at} from ${saved}; a fresh start begins at step ${formatCount(first.firstStep)}`,
      advice: [],
    };
  }
  if (began > furthest)
    return notProven(
      'beyond',
      `it went on at ${at}, though the first attempt only came to step ${formatCount(first.lastStep ?? 0)}`,
      'something else moved the step counter: it must be the one that was saved with the weights',
    );
  // a beginning that is nearer to the checkpoint than to the start came from some checkpoint
  if (began - first.firstStep > target.step - began)
    return notProven(
      'other-checkpoint',
      `it went on at ${at}, but it was to go on from ${saved}`,
      'the script chooses a checkpoint by itself, and another one: it must take the one in TRAINGUARD_RESUME_FROM',
    );
  return beganAnew(facts, target, second);
}

/** The second attempt never came to a step. */
function withoutStep(
  facts: DrillFacts,
  target: DrillTarget,
  second: NonNullable<DrillFacts['second']>,
): DrillVerdict {
  const { ended, timedOutAfterMs } = second;
  if (!ended) {
    if (facts.first.firstStep === undefined) return unknownSteps(target);
    return notProven(
      'no-steps',
      `after it was relaunched it came to no step within ${formatDuration(timedOutAfterMs ?? 0)}`,
      'look at what it waits for, or give the drill more --timeout',
    );
  }
  const { failure } = ended;
  if (failure.kind !== 'success') return failedToLoad(facts, target, second);
  if (facts.first.firstStep === undefined) return unknownSteps(target);
  return notProven(
    'ended-at-once',
    'the second attempt ended at once, without a step: it takes the training for done',
    'the loop must go on behind the step that was saved, up to the same last step as before',
  );
}

const unknownSteps = (target: DrillTarget): DrillVerdict =>
  notProven(
    'no-steps',
    `it was relaunched with ${target.id}, but no step was recognised in its output, so nothing is proven`,
    'let it print its step: print(f"heartbeat step={step} loss={loss:.4f}", flush=True)',
  );

function failedToLoad(facts: DrillFacts, target: DrillTarget, second: AttemptSeen): DrillVerdict {
  const failure = second.ended?.failure;
  if (!failure) return unknownSteps(target);
  const { reason } = failure;
  const all = [reason, ...failure.evidence.map(({ text }) => text)].join('\n');
  const { recipeArgs, script } = facts;
  if (
    recipeArgs.length > 0 &&
    /unrecognized argument|no such option|unexpected argument|unknown option/i.test(all)
  ) {
    const known = script?.flags.map(useOf) ?? [];
    return notProven(
      'unknown-flag',
      `the script does not take what was added to its command: ${reason}`,
      known.length > 0
        ? `it takes: ${known.join(' or ')}`
        : '--resume-args must be flags that the script has',
    );
  }
  const value = recipeArgs.find((word) => /\{path\}|\{dir\}/.test(word));
  if (value !== undefined && /Is ?a ?directory|Not ?a ?directory|FileNotFound|No such file/i.test(all)) {
    const wantsFolder = value.includes('{path}');
    const other = wantsFolder ? value.replaceAll('{path}', '{dir}') : value.replaceAll('{dir}', '{path}');
    const args = recipeArgs.map((word) => (word === value ? other : word)).join(' ');
    return notProven(
      'wrong-value',
      `the script could not use the value it was given: ${reason}`,
      `it seems to want ${wantsFolder ? 'the folder, not one checkpoint' : 'one checkpoint, not the folder'}: --resume-args '${args}'`,
    );
  }
  return notProven(
    'load-error',
    `it failed when it was to go on from ${target.id}: ${reason}`,
    'what it loads must be what it saves',
    ...shownOf(failure),
  );
}

/** The second attempt began where a fresh one begins. */
function beganAnew(facts: DrillFacts, target: DrillTarget, second: AttemptSeen): DrillVerdict {
  const { first, script, recipeArgs, framework } = facts;
  const began = second.firstStep ?? 0;
  const words = `it began again at step ${formatCount(began)} instead of going on from ${target.id} at step ${formatCount(target.step ?? 0)}`;
  const how = framework === undefined ? [] : [`how ${framework}`];
  if (lossWentOn(first, target, second) || newMentions(first, second).some(saysItLoaded))
    return notProven(
      'step-not-restored',
      `${words}, though it loaded the weights: the step counter starts anew`,
      'save the step with the weights and begin the loop behind it: for step in range(start + 1, last + 1)',
      'the same holds for the optimizer, the learning-rate schedule and the place in the data',
    );
  const flags = script?.flags ?? [];
  const given = flags.find(({ flag }) => second.argv.some((word) => word.split('=')[0] === flag));
  if (given && recipeArgs.length === 0)
    return notProven(
      'fixed-path',
      `${words}: the command itself says ${spelled(second.argv, given.flag)}, the same at every attempt`,
      useOf(given),
    );
  if (began > Math.max(1, first.largestGap))
    return notProven(
      'fixed-path',
      `${words}: it goes on from a place of its own, the same at every attempt`,
      loadLine(script),
    );
  const [missing] = flags;
  if (!given && missing)
    return notProven(
      'flag-missing',
      `${words}: it resumes only if told (${missing.flag}, line ${missing.line} of ${missing.file})`,
      useOf(missing),
    );
  if (script && !script.loads && !script.variable)
    return notProven(
      'no-loading-code',
      `${words}: ${script.file} saves, but nothing in it loads what it saved`,
      ...(how.length > 0 ? how : linesToAdd),
    );
  return notProven('not-loaded', words, loadLine(script), ...how);
}

const linesToAdd = [
  'add before the loop:',
  '    resume = os.environ.get("TRAINGUARD_RESUME_FROM")',
  '    if resume:',
  '        state = load(resume)  # torch.load, pickle.load…: the counterpart of what it saves with',
  '        model.load_state_dict(state["model"]); start = state["step"]',
  'and begin the loop behind it: for step in range(start + 1, last + 1)',
];
