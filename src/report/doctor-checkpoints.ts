import { type CheckpointFact, isUsable } from '../policy/checkpoint.js';
import type { RollbackChoice } from '../policy/rollback-choice.js';
import { formatCount, formatBytes, plural } from '../util/text.js';
import { useOf } from './drill-advice.js';
import type { ScriptFacts } from './drill-facts.js';
import { type Check, fails, fine, warn } from './doctor-check.js';

/** What was found in the checkpoint folders. */
export interface CheckpointsFacts {
  readonly dirs: readonly string[];
  /** How they were found: `named`, `--output_dir of the command`. */
  readonly words: string;
  readonly guessed: boolean;
  readonly layout: string;
  /** Oldest first. */
  readonly checkpoints: readonly CheckpointFact[];
  /** What a run would do with them before its first attempt. */
  readonly choice: RollbackChoice;
  /** What the store said as it was opened. */
  readonly notices: readonly string[];
}

/** Damaged checkpoints that are named one by one. */
const mostNamed = 5;

/** What there is to resume from, and what a run would do about the rest. Pure. */
export function judgeCheckpoints(facts: CheckpointsFacts): readonly Check[] {
  const { dirs, words, guessed, layout, checkpoints, choice, notices } = facts;
  const where = `${dirs.join(', ')} (${layout}${guessed ? `; ${words}` : ''})`;
  const own = checkpoints.filter(({ spare }) => spare !== true);
  const checks: Check[] = [];
  if (own.length === 0) {
    checks.push(fine('checkpoints', `none yet in ${where}`));
  } else {
    const good = own.findLast(({ standing }) => isUsable(standing));
    const count = `${plural(own.length, 'checkpoint')} in ${where}`;
    checks.push(
      good
        ? fine('checkpoints', `${count}; the newest good one is ${nameOf(good)}`)
        : warn('checkpoints', `${count}, none of which is known to be good`),
    );
    checks.push(...damageOf(own));
  }
  checks.push(...rollbackOf(choice, own));
  if (guessed)
    checks.push(
      warn(
        'rollback',
        'the checkpoint folder was only guessed, so what a run did not write itself is never moved aside',
        `name it: --checkpoint-dir ${dirs[0] ?? '<folder>'}`,
      ),
    );
  return [...checks, ...notices.map((text) => warn('checkpoints', text))];
}

function damageOf(own: readonly CheckpointFact[]): readonly Check[] {
  const bad = own.filter(({ standing }) => !isUsable(standing) && standing !== 'complete').reverse();
  const named = bad
    .slice(0, mostNamed)
    .map(({ id, standing, why }) => warn('damaged', `${id} is ${standing}: ${why}`));
  const more = bad.length - named.length;
  return more > 0 ? [...named, warn('damaged', `and ${plural(more, 'more')}`, 'trainguard checkpoints list')] : named; // prettier-ignore
}

function rollbackOf(choice: RollbackChoice, own: readonly CheckpointFact[]): readonly Check[] {
  switch (choice.type) {
    case 'stuck':
      return [fails('rollback', choice.reason)];
    case 'roll-back': {
      const moves =
        choice.moves.length === 0 ? '' : `${choice.moves.join(', ')} would go into quarantine, and `;
      const target = choice.target
        ? `training would resume from ${nameOf(choice.target)}`
        : 'training would begin anew';
      return [fine('rollback', `before the first attempt ${moves}${target}`)];
    }
    case 'keep': {
      if (choice.note !== undefined) return [warn('rollback', choice.note)];
      if (choice.resume) return [fine('rollback', `training would resume from ${nameOf(choice.resume)}`)];
      return own.length === 0 ? [] : [fine('rollback', 'training would begin anew')];
    }
  }
}

function nameOf({ id, step, number, sizeBytes, standing }: CheckpointFact): string {
  const at = step ?? number;
  return `${id} (${standing}${at === undefined ? '' : `, step ${formatCount(at)}`}, ${formatBytes(sizeBytes)})`;
}

/** Whether rolled-back checkpoints have somewhere to go. */
export interface VaultFacts {
  readonly dir: string;
  /** Where they would go. */
  readonly vault: string;
  /** Why a rename from the folder does not reach it; undefined: one did. */
  readonly problem?: string;
  /** `--vault` was given. */
  readonly named: boolean;
  /** The layout's framework overlooks a dot-named folder inside, so that it may lie there. */
  readonly mayLieInside: boolean;
}

/** Whether a rollback could move checkpoints aside. Pure. */
export function judgeVault({ dir, vault, problem, named, mayLieInside }: VaultFacts): Check {
  if (problem === undefined) return fine('vault', `a rename from ${dir} reaches ${vault}`);
  const text = `what a rollback moves out of ${dir} cannot go to ${vault}: ${problem}`;
  if (!named && mayLieInside) return warn('vault', `${text}; it would lie inside the checkpoint folder`);
  return fails(
    'vault',
    text,
    named
      ? 'name a folder on the file system of the checkpoint folder with --vault DIR'
      : 'name a folder on the same file system with --vault DIR, or mount the parent of the checkpoint folder',
  );
}

/** How the command would be told to resume. */
export interface ResumeFacts {
  readonly argv: readonly string[];
  /** What would be added to the command, or changed in it, in words; undefined: nothing. */
  readonly recipe?: string;
  /** That the preset asked for adds nothing, in words. */
  readonly idle?: string;
  /** The framework whose checkpoints these are, how it resumes, and its preset's flags. */
  readonly framework?: { readonly title: string; readonly advice: string; readonly args?: readonly string[] };
  readonly script?: ScriptFacts;
}

const drill = '"trainguard drill" with the same flags and command proves it';

/** Whether a restarted training would go on, or begin anew. Pure. */
export function judgeResume({ argv, recipe, idle, framework, script }: ResumeFacts): Check {
  if (recipe !== undefined) return fine('resume', `told to resume by ${recipe}`, drill);
  if (idle !== undefined) return warn('resume', idle, drill);
  if (script?.variable)
    return fine('resume', `line ${script.variable.line} of ${script.variable.file} reads TRAINGUARD_RESUME_FROM`, drill); // prettier-ignore
  const flags = script?.flags ?? [];
  const given = flags.find(({ flag }) => argv.some((word) => word.split('=')[0] === flag));
  if (given)
    return given.takesValue
      ? warn('resume', `the command itself says ${given.flag}: if that names one checkpoint, every attempt goes on from it`, `${useOf(given)}\n${drill}`) // prettier-ignore
      : fine('resume', `the command says ${given.flag}`, drill);
  const [missing] = flags;
  if (missing)
    return warn(
      'resume',
      `it seems to resume only if told (${missing.flag}, line ${missing.line} of ${missing.file}); else a restart begins anew, and is given up as not-resumed`,
      `${useOf(missing)}\n${drill}`,
    );
  const how = framework && `${framework.title}: ${framework.advice}`;
  if (script && !script.loads)
    return warn('resume', `nothing in ${script.file} seems to load a checkpoint${how === undefined ? '' : ` (${how})`}`, drill); // prettier-ignore
  if (framework?.args)
    return warn('resume', `nothing tells the command to resume (${how ?? ''})`, `--resume-args '${framework.args.join(' ')}' (or --resume-args preset), if the script takes it\n${drill}`); // prettier-ignore
  if (script?.loads)
    return fine('resume', `line ${script.loads.line} of ${script.loads.file} loads something; whether it is the newest checkpoint only a drill can tell`, drill); // prettier-ignore
  return warn('resume', `it cannot be seen whether the command resumes${how === undefined ? '' : ` (${how})`}`, drill); // prettier-ignore
}
