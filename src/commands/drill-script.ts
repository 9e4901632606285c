import fs from 'node:fs/promises';
import path from 'node:path';
import type { ResumeFlag, ScriptFacts } from '../report/drill-facts.js';
import { errorCode } from '../util/os/durable.js';

/** A file longer than this is read no further, bytes; and so many files at most. */
const mostBytes = 1024 * 1024;
const mostFiles = 30;

/**
 * Reads what the command's own Python script says of resuming, and the modules beside it that it imports.
 * @returns undefined: the command names no script that can be read
 */
export async function readScript(argv: readonly string[], cwd: string): Promise<ScriptFacts | undefined> {
  const script = scriptFile(argv);
  if (script === undefined) return undefined;
  const roots = [path.dirname(path.resolve(cwd, script)), cwd];
  const names = [script];
  let facts: ScriptFacts | undefined;
  for (let at = 0; at < Math.min(names.length, mostFiles); at++) {
    const name = names[at] ?? '';
    const text = await readText(path.resolve(cwd, name));
    if (text === undefined) continue;
    const more = factsOf(name, text);
    facts = facts ? merge(facts, more) : more;
    for (const module of importsOf(text)) {
      for (const root of roots) {
        for (const ending of ['.py', '/__init__.py']) {
          const file = path.relative(cwd, path.join(root, module + ending));
          if (!names.includes(file)) names.push(file);
        }
      }
    }
  }
  return facts;
}

const merge = (a: ScriptFacts, b: ScriptFacts): ScriptFacts => ({
  ...b,
  ...a,
  flags: [...a.flags, ...b.flags],
});

async function readText(file: string): Promise<string | undefined> {
  try {
    const handle = await fs.open(file, 'r');
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(mostBytes), 0, mostBytes, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** `train.py`; for `-m package.train` package/train.py. */
function scriptFile(argv: readonly string[]): string | undefined {
  for (const [index, word] of argv.entries()) {
    if (index > 0 && argv[index - 1] === '-m') return `${word.replaceAll('.', path.sep)}.py`;
    if (/\.py$/i.test(word) && !word.startsWith('-')) return word;
  }
  return undefined;
}

/** Modules that a text imports, as paths: whatever is not beside the script is not found there. */
const importsOf = (text: string): string[] =>
  [...text.matchAll(/^[ \t]*(?:from[ \t]+\.*([\w.]+)[ \t]+import|import[ \t]+([\w.]+))/gm)].map(
    ([, from, plain]) => (from ?? plain ?? '').replaceAll('.', '/'),
  );

const flagName =
  /resum|restor|continue|init-from|^load|-load-?|from-?(?:ckpt|checkpoint)|^(?:ckpt|checkpoint)(?:-path)?$/i;
const loading =
  /\b(?:torch|np|numpy|pickle|joblib|json|dill|mx|tf)\.load\w*\(|load_state_dict|load_state\(|load_checkpoint|load_from_checkpoint|restore(?:_checkpoint)?\(|load_weights|load_model|load_file\(|resume_from_checkpoint|ckpt_path=/;

/** What one file's text says of resuming: flags, the variable, code that loads. Pure; comments do not count. */
export function factsOf(file: string, text: string): ScriptFacts {
  const flags: ResumeFlag[] = [];
  let variable: ScriptFacts['variable'];
  let loads: ScriptFacts['loads'];
  const lines = text.split('\n').map((line) => line.replace(/(^|\s)#.*$/, ''));
  for (const [index, content] of lines.entries()) {
    const line = index + 1;
    for (const [, flag = ''] of content.matchAll(/["'](--?[A-Za-z][\w-]*)["']/g)) {
      const name = flag.replace(/^-+/, '').replaceAll('_', '-');
      if (!flagName.test(name) || flags.some((known) => known.flag === flag)) continue;
      // the call goes on over some lines, up to the next flag
      const call = lines.slice(index, index + 6).join(' ').split('add_argument(').slice(0, 2).join(' '); // prettier-ignore
      flags.push({ flag, file, line, takesValue: !/store_true|is_flag\s*=\s*True/.test(call) });
    }
    if (content.includes('TRAINGUARD_RESUME_FROM')) variable ??= { file, line };
    if (loading.test(content)) loads ??= { file, line, text: content.trim().slice(0, 100) };
  }
  return { file, flags, ...(variable && { variable }), ...(loads && { loads }) };
}
