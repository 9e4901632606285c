import type { Stamp } from '../../util/os/dir-walk.js';
import { hasCheckpointWord, hasLoneWord, isChosen, isData, isExtra, orderingRun, orderWordOf, parseName, type ParsedName } from './names.js'; // prettier-ignore
import type { Content, Layout, Look, UnitDraft } from './layout.js';

/**
 * Any framework: names that differ only in digits are one series, taken only if its content is a known checkpoint
 * format. Data shards, logs and event files are never touched.
 */
export const generic: Layout = {
  name: 'generic',
  title: 'any framework',
  bearsDotName: false,
  resume: {
    advice: 'a flag of the script that takes the checkpoint, or TRAINGUARD_RESUME_FROM read by it',
  },
  matches: () => Promise.resolve(true),
  incomplete: () => undefined,
  pointers: () => Promise.resolve([]),
  async units(look) {
    const taken: Series[] = [];
    for (const members of seriesIn(look.entries)) {
      const series = await takeSeries(look, members);
      if (series) taken.push(series);
    }
    // JSON beside weights describes them; it is a checkpoint of its own only where nothing else is
    const main = taken.filter((series) => series.format !== 'json');
    const own = main.length > 0 ? main : taken;
    const drafts = joined(own.flatMap(unitsOf));
    return withCompanions(drafts, main.length > 0 ? taken.filter((series) => series.format === 'json') : []);
  },
};

interface Named {
  readonly entry: Stamp;
  readonly parsed: ParsedName;
  /** A folder without a known file. */
  readonly barren?: boolean;
}

interface Series {
  readonly members: readonly Named[];
  readonly run: number | undefined;
  /** What its files are; a folder's is not told. */
  readonly format: string | undefined;
}

interface Draft extends UnitDraft {
  readonly orderWord: string;
  readonly template: string;
}

function seriesIn(entries: readonly Stamp[]): Named[][] {
  const series = new Map<string, Named[]>();
  for (const entry of entries) {
    if (entry.kind === 'other' || isData(entry.path) || isCollection(entry)) continue;
    const parsed = parseName(entry.path);
    const key = `${entry.kind} ${parsed.template}`;
    series.set(key, [...(series.get(key) ?? []), { entry, parsed }]);
  }
  return [...series.values()];
}

async function takeSeries(look: Look, members: readonly Named[]): Promise<Series | undefined> {
  const name = members[0]?.entry.path ?? '';
  const run = orderingRun(members.map((member) => member.parsed));
  const lone = run === undefined;
  const contents: Content[] = [];
  for (const member of members) contents.push(await look.content(member.entry));
  const formats = contents.flatMap((content) => (typeof content === 'object' ? [content.known] : []));
  const format = mostFrequent(formats);
  const isFile = members[0]?.entry.kind === 'file';
  // text and pickles are everywhere; only the name can tell that they are checkpoints
  const needsWord = format === 'json' || format === 'pickle';
  if (format === undefined && !contents.includes('torn')) return undefined;
  if (lone ? !hasLoneWord(name) : (needsWord || format === undefined) && !hasCheckpointWord(name))
    return undefined;
  if (isFile) return { members, run, format };
  const judged = members.map((member, index) => ({ ...member, barren: typeof contents[index] !== 'object' }));
  return { members: judged, run, format: undefined };
}

/** Within one series: one checkpoint a number, or several rank files of one. */
function unitsOf(series: Series): Draft[] {
  const units = new Map<string, Named[]>();
  for (const member of series.members) {
    const key = member.parsed.runs.map((run) => (run.role === 'rank' ? '' : String(run.value))).join(' ');
    units.set(key, [...(units.get(key) ?? []), member]);
  }
  return [...units.values()].map((members) => draftOf(members, series));
}

function draftOf(members: readonly Named[], series: Series): Draft {
  const main = members[0];
  if (!main) throw new Error('a checkpoint without members');
  const run = series.run === undefined ? undefined : main.parsed.runs[series.run];
  return {
    id: main.entry.path,
    members: members.map((member) => member.entry),
    ...(run === undefined ? {} : { number: run.value }),
    mayBeStep: ['step', ''].includes(orderWordOf(run?.label)),
    barren: members.some((member) => member.barren === true),
    inPlace: run === undefined,
    chosen: isChosen(main.entry.path),
    expected: new Map(
      series.format === undefined ? [] : members.map((member) => [member.entry.path, series.format ?? '']),
    ),
    orderWord: orderWordOf(run?.label),
    template: main.parsed.template,
  };
}

/** `model_100.pt` and `optim_100.pt` are one checkpoint: what one series numbers once, another completes. */
function joined(drafts: readonly Draft[]): Draft[] {
  const byNumber = new Map<string, Draft[]>();
  const answer: Draft[] = [];
  for (const draft of drafts) {
    if (draft.number === undefined || isExtra(draft.id)) answer.push(draft);
    else {
      const key = `${draft.orderWord} ${draft.number}`;
      byNumber.set(key, [...(byNumber.get(key) ?? []), draft]);
    }
  }
  for (const some of byNumber.values()) {
    const templates = new Set(some.map((draft) => draft.template));
    if (templates.size === some.length) answer.push(some.sort(byTemplate).reduce(merge));
    else answer.push(...some);
  }
  return answer;
}

function withCompanions(drafts: readonly Draft[], described: readonly Series[]): Draft[] {
  const companions = described.flatMap(unitsOf);
  return drafts.map((draft) =>
    companions
      .filter(
        (one) => one.number !== undefined && one.number === draft.number && one.orderWord === draft.orderWord,
      )
      .reduce(merge, draft),
  );
}

const merge = (a: Draft, b: Draft): Draft => ({
  ...a,
  members: [...a.members, ...b.members],
  expected: new Map([...a.expected, ...b.expected]),
});

/** A folder of checkpoints, to be named itself: as one checkpoint all of it would be moved at once. */
const isCollection = (entry: Stamp): boolean =>
  entry.kind === 'folder' && /^(?:checkpoints|ckpts|models|snapshots|backups|weights)$/i.test(entry.path);

const byTemplate = (a: Draft, b: Draft): number => (a.template < b.template ? -1 : 1);

function mostFrequent(words: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}
