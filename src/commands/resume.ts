/** How a program is told to resume (config `resume`, flag `--resume-args`). */
export interface ResumeRecipe {
  /** Added to the command when there is a checkpoint; a flag it has already gets the new value. `{path}`, `{step}` and `{dir}` are filled in. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Words of the command that become other words: `scratch` → `resume`. */
  readonly replace?: Readonly<Record<string, string>>;
}

export interface ResumePoint {
  readonly path: string;
  readonly step?: number;
  /** The checkpoint folder, which `path` lies in. */
  readonly dir?: string;
}

/** The command and environment of an attempt that resumes from `point`; without a point both are the user's own. */
export function applyResume(
  argv: readonly [string, ...string[]],
  recipe: ResumeRecipe,
  point: ResumePoint | undefined,
): { readonly argv: readonly [string, ...string[]]; readonly env: Readonly<Record<string, string>> } {
  if (!point) return { argv, env: {} };
  const fill = (text: string): string =>
    text.replace(/\{(path|step|dir)\}/g, (_, name: 'path' | 'step' | 'dir') => String(point[name] ?? ''));
  const [program, ...rest] = argv;
  const replaced = rest.map((word) => {
    const other = recipe.replace && Object.hasOwn(recipe.replace, word) ? recipe.replace[word] : undefined;
    return other === undefined ? word : fill(other);
  });
  const env = Object.fromEntries(
    Object.entries(recipe.env ?? {}).map(([name, value]) => [name, fill(value)]),
  );
  const groups = flagGroups((recipe.args ?? []).map(fill));
  return { argv: [program, ...groups.reduce(withFlag, replaced)], env };
}

/** A flag with the values that follow it, or words without a flag. */
interface FlagGroup {
  /** `--resume`, `trainer.ckpt_path`; undefined: plain words. */
  readonly flag?: string;
  /** It was given as `flag=value`. */
  readonly attached?: boolean;
  readonly values: readonly string[];
}

function flagGroups(words: readonly string[]): FlagGroup[] {
  const groups: FlagGroup[] = [];
  for (const word of words) {
    const [, flag, value] = /^(--?[A-Za-z][\w.-]*|\+{0,2}[A-Za-z][\w./]*(?==))(?:=(.*))?$/s.exec(word) ?? [];
    const last = groups.at(-1);
    if (flag !== undefined)
      groups.push({ flag, values: value === undefined ? [] : [value], attached: value !== undefined });
    else if (last && last.attached !== true)
      groups[groups.length - 1] = { ...last, values: [...last.values, word] };
    else groups.push({ values: [word] });
  }
  return groups;
}

/** The command with the flag: where it is given already its value is replaced, since a flag given twice is an error to many. */
function withFlag(words: readonly string[], { flag, attached, values }: FlagGroup): string[] {
  const spelled = attached
    ? [`${flag ?? ''}=${values[0] ?? ''}`]
    : flag === undefined
      ? [...values]
      : [flag, ...values];
  const same = (word: string): boolean =>
    flag !== undefined && plain(word.split('=')[0] ?? '') === plain(flag);
  const at = words.findIndex((word) => same(word) && (word.startsWith('-') || word.includes('=')));
  const given = words[at];
  if (at < 0 || given === undefined) return [...words, ...spelled];
  const equals = given.indexOf('=');
  const value = values.join(' ');
  if (equals >= 0) {
    const kept = values.length === 0 ? given : `${given.slice(0, equals)}=${value}`;
    return [...words.slice(0, at), kept, ...words.slice(at + 1)];
  }
  const next = words[at + 1];
  const hasValue = values.length > 0 && next !== undefined && !next.startsWith('-');
  return [...words.slice(0, at + 1), ...values, ...words.slice(at + (hasValue ? 2 : 1))];
}

/** argparse takes `-` and `_` for different, click and transformers for the same; nobody has both. */
const plain = (flag: string): string => flag.replace(/^-+|^\++/, '').replaceAll('_', '-');
