import type { Stamp } from '../../util/os/dir-walk.js';
import { isChosen, isData, isStepWord, orderingRun, parseName } from './names.js';
import type { Look, UnitDraft } from './layout.js';

/** How many entries are looked into to tell whose folder it is: the newest, as older ones may be of another time. */
const looked = 8;

/** The folders that may be checkpoints. */
export const foldersIn = (look: Look): Stamp[] =>
  look.entries.filter((entry) => entry.kind === 'folder' && !isData(entry.path));

/** Whether one of the newest folders holds a file of such a name. */
export const someHolds = (look: Look, isPart: (name: string) => boolean): Promise<boolean> =>
  someOf(foldersIn(look), async (entry) => (await look.names(entry)).some(isPart));

/** The folders that hold a file of such a name, and empty ones called like them: made, and nothing more. */
export async function foldersHolding(look: Look, isPart: (name: string) => boolean): Promise<Stamp[]> {
  const own: Stamp[] = [];
  const empty: Stamp[] = [];
  for (const entry of foldersIn(look)) {
    const names = await look.names(entry);
    if (names.some(isPart)) own.push(entry);
    else if (names.length === 0) empty.push(entry);
  }
  const templates = new Set(own.map((entry) => parseName(entry.path).template));
  return [...own, ...empty.filter((entry) => templates.has(parseName(entry.path).template))];
}

/** @param mayBeStep the framework counts steps (batches, iterations) in it, not epochs or saves */
export const draftOf = (
  members: readonly [Stamp, ...Stamp[]],
  number: number | undefined,
  mayBeStep: boolean,
): UnitDraft => ({
  id: members[0].path,
  members,
  ...(number === undefined ? {} : { number }),
  mayBeStep,
  expected: new Map(),
});

/** One checkpoint for each entry whose whole name the pattern takes; its first group is the number. */
export const numbered = (
  entries: readonly Stamp[],
  kind: Stamp['kind'],
  pattern: RegExp,
  mayBeStep: boolean,
): UnitDraft[] =>
  entries.flatMap((entry) => {
    const digits = entry.kind === kind ? pattern.exec(entry.path)?.[1] : undefined;
    return digits === undefined ? [] : [draftOf([entry], Number(digits), mayBeStep)];
  });

/**
 * One checkpoint for each of these folders, whatever the script called them. Numbers of differently built names are
 * not comparable: those of the commonest kind order, the rest stand where their time puts them.
 */
export function named(entries: readonly Stamp[]): UnitDraft[] {
  const byTemplate = new Map<string, Stamp[]>();
  for (const entry of entries) {
    const { template } = parseName(entry.path);
    byTemplate.set(template, [...(byTemplate.get(template) ?? []), entry]);
  }
  const kinds = [...byTemplate.values()].sort((a, b) => b.length - a.length);
  const ordering = kinds.find(
    (some) => orderingRun(some.map((entry) => parseName(entry.path))) !== undefined,
  );
  return kinds.flatMap((some) => {
    const parsed = some.map((entry) => parseName(entry.path));
    const at = some === ordering ? orderingRun(parsed) : undefined;
    return some.map((entry, index) => {
      const run = at === undefined ? undefined : parsed[index]?.runs[at];
      const mayBeStep = run !== undefined && (run.label === '' || isStepWord(run.label));
      const draft = draftOf([entry], run?.value, mayBeStep);
      return isChosen(entry.path) ? { ...draft, chosen: true } : draft;
    });
  });
}

export const newestOf = (entries: readonly Stamp[], count = looked): readonly Stamp[] =>
  entries.length <= count ? entries : [...entries].sort((a, b) => b.mtimeMs - a.mtimeMs).slice(0, count);

export const mainsOf = (drafts: readonly UnitDraft[]): readonly Stamp[] =>
  drafts.flatMap((draft) => draft.members.slice(0, 1));

/** Whether one of the newest of them is so. */
export async function someOf(
  entries: readonly Stamp[],
  isSo: (entry: Stamp) => Promise<boolean>,
): Promise<boolean> {
  for (const entry of newestOf(entries)) if (await isSo(entry)) return true;
  return false;
}
