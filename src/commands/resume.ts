import { fail, ok, exitStatus, type Result } from '../util/result.js';

/** How a program is told to resume (config `resume`, flag `--resume-args`). */
export interface ResumeRecipe {
  /** Added at the end of the command when there is a checkpoint. `{path}` and `{step}` are filled in. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Words of the command that become other words: `scratch` → `resume`. */
  readonly replace?: Readonly<Record<string, string>>;
}

export interface ResumePoint {
  readonly path: string;
  readonly step?: number;
}

/** The command and environment of an attempt that resumes from `point`; without a point both are the user's own. */
export function applyResume(
  argv: readonly [string, ...string[]],
  recipe: ResumeRecipe,
  point: ResumePoint | undefined,
): { readonly argv: readonly [string, ...string[]]; readonly env: Readonly<Record<string, string>> } {
  if (!point) return { argv, env: {} };
  const fill = (text: string): string =>
    text
      .replaceAll('{path}', point.path)
      .replaceAll('{step}', point.step === undefined ? '' : String(point.step));
  const [program, ...rest] = argv;
  const replaced = rest.map((word) => {
    const other = recipe.replace && Object.hasOwn(recipe.replace, word) ? recipe.replace[word] : undefined;
    return other === undefined ? word : fill(other);
  });
  const env = Object.fromEntries(
    Object.entries(recipe.env ?? {}).map(([name, value]) => [name, fill(value)]),
  );
  return { argv: [program, ...replaced, ...(recipe.args ?? []).map(fill)], env };
}

/** Splits `--resume-args` into words as a shell would, quotes and backslashes honoured, nothing expanded. */
export function splitWords(text: string): Result<string[]> {
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
  if (quote !== undefined)
    return fail(`--resume-args has a quote (${quote}) that is never closed: ${text}`, exitStatus.usage);
  if (word !== undefined) words.push(word);
  return ok(words);
}
