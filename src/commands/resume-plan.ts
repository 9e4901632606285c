import { isLayoutName, layoutNames, layouts } from '../checkpoints/layouts/registry.js';
import { fail, ok, exitStatus, type Result } from '../util/result.js';
import { nearest } from '../util/text.js';
import type { ResumeRecipe } from './resume.js';

/** The same, before it is known whose checkpoints they are. */
export interface ResumeWish extends ResumeRecipe {
  /** What is not said here is as this framework wants it; `auto`: the one whose checkpoints the folder holds. */
  readonly preset?: string;
}

/** What holds for a folder of this layout (by its name): the user's own words go before the preset's. */
export function recipeFor(wish: ResumeWish, layout: string): ResumeRecipe {
  const preset = presetOf(wish, layout);
  const args = wish.args ?? preset?.resume.args;
  return {
    ...(args && { args }),
    env: { ...preset?.resume.env, ...wish.env },
    replace: { ...preset?.resume.replace, ...wish.replace },
  };
}

/** Says that a preset was asked for which does nothing, and what does; undefined: it does something, or was not asked for. */
export function idlePreset(wish: ResumeWish, layout: string): string | undefined {
  const preset = presetOf(wish, layout);
  if (!preset || wish.args) return undefined;
  const { args, env, replace, advice } = preset.resume;
  if (args ?? env ?? replace) return undefined;
  return `the preset of ${preset.title} adds nothing to the command; it resumes by: ${advice}`;
}

/** What a training that did not resume lacks, and what it was given, in words. */
export function resumeAdvice(wish: ResumeWish, layout: string): string {
  const known = layouts.find(({ name }) => name === layout);
  const { args = [], env = {}, replace = {} } = recipeFor(wish, layout);
  const given = [
    ...(args.length > 0 ? [`the flags ${args.join(' ')}`] : []),
    ...Object.entries(replace).map(([word, other]) => `${other} for ${word}`),
    ...['TRAINGUARD_RESUME_FROM', ...Object.keys(env)],
  ];
  const preset = known?.resume.args;
  const flag =
    args.length === 0 && preset
      ? `--resume-args '${preset.join(' ')}' (or --resume-args preset), if the script takes it; `
      : '';
  return [
    `it was given ${given.join(', ')}; what makes it resume: ${flag}${known?.resume.advice ?? 'a flag that takes the checkpoint'}`,
    '"trainguard drill" with the same flags and command says which flag or line is missing',
    'to train from the beginning on purpose name another checkpoint folder; if its steps count from each launch set health.notResumed to warn',
  ].join('\n');
}

const presetOf = ({ preset }: ResumeWish, layout: string): (typeof layouts)[number] | undefined =>
  preset === undefined
    ? undefined
    : layouts.find(({ name }) => name === (preset === 'auto' ? layout : preset));

/** What `--resume-args` and config `resume` ask for; the flag goes before the file's `args` and `preset`. */
export function planResume(config: ResumeWish, flag: string | undefined): Result<ResumeWish> {
  const { args, preset, ...rest } = config;
  if (flag === undefined) {
    const checked = checkPreset(preset, 'resume.preset', exitStatus.config);
    // no words are no words of one's own: the preset's hold
    return checked.ok ? ok({ ...rest, ...(args?.length && { args }), ...checked.value }) : checked;
  }
  const named = /^\s*preset(?::(\S+))?\s*$/.exec(flag);
  if (named) {
    const checked = checkPreset(named[1] ?? 'auto', '--resume-args', exitStatus.usage);
    return checked.ok ? ok({ ...rest, ...checked.value }) : checked;
  }
  const words = splitWords(flag);
  return words.ok ? ok({ ...rest, args: words.value }) : words;
}

function checkPreset(preset: string | undefined, where: string, exit: number): Result<{ preset?: string }> {
  if (preset === undefined) return ok({});
  if (preset === 'auto' || isLayoutName(preset)) return ok({ preset });
  const near = nearest(preset, layoutNames);
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
  return fail(`${where} names no preset ${preset}${hint}; there are auto, ${layoutNames.join(', ')}`, exit);
}

/**
 * Splits a flag's text into words as a shell would, quotes and backslashes honoured, nothing expanded.
 * @param where the flag, for whoever left a quote open
 */
export function splitWords(
  text: string,
  where = '--resume-args',
  exit: number = exitStatus.usage,
): Result<string[]> {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? '';
    if (quote !== undefined) {
      if (char === quote) quote = undefined;
      else if (char === '\\' && quote === '"') word = (word ?? '') + (text[++i] ?? '');
      else word = (word ?? '') + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (char === '\\') {
      word = (word ?? '') + (text[++i] ?? '');
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== undefined) return fail(`${where} has a quote (${quote}) that is never closed: ${text}`, exit);
  if (word !== undefined) words.push(word);
  return ok(words);
}
