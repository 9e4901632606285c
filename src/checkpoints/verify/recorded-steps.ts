import path from 'node:path';
import { parseJson } from './json-text.js';
import { quote } from './quote.js';
import { readWhole } from './read-whole.js';

/** Files that hold the step which their folder is named for, because the framework writes both from one number. */
const recorded: readonly { readonly file: string; readonly key: string; readonly folder: RegExp }[] = [
  { file: 'trainer_state.json', key: 'global_step', folder: /^checkpoint-(\d+)$/ },
];

/**
 * A checkpoint's own file says another step than its name: it was copied or mixed together, and would not go on where
 * its name says.
 * @param unit its files, relative to the root
 * @returns the first such file, in words
 */
export async function otherStep(unit: {
  readonly root: string;
  readonly files: readonly string[];
}): Promise<string | undefined> {
  for (const file of unit.files) {
    const folder = path.basename(path.dirname(file));
    for (const { key, folder: named } of recorded.filter((one) => one.file === path.basename(file))) {
      const number = named.exec(folder)?.[1];
      const text = number === undefined ? undefined : await readWhole(path.join(unit.root, file));
      const parsed = text && parseJson(text.toString('utf8'));
      const step = parsed?.ok ? (parsed.value as Record<string, unknown> | null)?.[key] : undefined;
      if (typeof step === 'number' && step !== Number(number))
        return `${file}: it records step ${step}, and lies in ${quote(folder)}`;
    }
  }
  return undefined;
}
