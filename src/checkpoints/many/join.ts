import type { CheckpointFact, Standing } from '../../policy/checkpoint.js';
import { formatCount } from '../../util/text.js';
import { parseName } from '../layouts/names.js';

/** One checkpoint of one folder. */
export interface Part {
  /** Which folder, as the caller knows it. */
  readonly folder: number;
  /** Its path from where all folders are: `gen/checkpoint-40`. */
  readonly name: string;
  readonly fact: CheckpointFact;
}

/** Folders that follow one another: what one glob matches, or a single one. */
export interface Line {
  readonly name: string;
  /** Oldest first. */
  readonly parts: readonly Part[];
  /** Whether it ever held a checkpoint. One that never did holds nothing back. */
  readonly had: boolean;
}

/** What all lines hold of one moment of the training. */
export interface Joint {
  readonly fact: CheckpointFact;
  /** In the order of the lines. */
  readonly parts: readonly Part[];
}

type Moment = (Part | undefined)[];

/**
 * Joins what lines hold of the same moment into one checkpoint each, oldest first. It is worth what the worst of its
 * parts is, and partial where a line has none of it. Pure.
 */
export function joinLines(lines: readonly Line[]): readonly Joint[] {
  return inOrder(lines, momentsOf(lines)).map((moment) => {
    const parts = moment.filter((part) => part !== undefined);
    return { parts, fact: factOf(lines, moment, parts) };
  });
}

/** Two checkpoints that show that the folders of a line do not follow one another, of what this run wrote. Pure. */
export function writtenAtOnce({ parts }: Line): readonly [Part, Part] | undefined {
  let newest: Part | undefined;
  for (const part of parts.filter(({ fact }) => fact.ours)) {
    if (newest && newest.fact.modifiedAt > part.fact.modifiedAt) {
      if (newest.folder !== part.folder) return [newest, part];
    } else newest = part;
  }
  return undefined;
}

/** Which parts are of one moment: names of one kind count alike, else the step tells. */
function momentsOf(lines: readonly Line[]): Map<Part, Moment> {
  const moments = new Map<Part, Moment>();
  const known = new Map<string, Moment[]>();
  for (const [index, line] of lines.entries()) {
    for (const part of line.parts) {
      const moment =
        marksOf(part.fact)
          .looks.flatMap((mark) => known.get(mark) ?? [])
          .find((one) => one[index] === undefined) ?? lines.map(() => undefined);
      moment[index] = part;
      moments.set(part, moment);
      for (const mark of marksOf(part.fact).has) known.set(mark, [...(known.get(mark) ?? []), moment]);
    }
  }
  return moments;
}

/** What a checkpoint is known by, and by what its fellows are looked for, best first. */
function marksOf({ id, step, number }: CheckpointFact): { has: readonly string[]; looks: readonly string[] } {
  const named = number === undefined ? [] : [`${parseName(id).template} ${number}`];
  if (step !== undefined) return { has: [...named, `step ${step}`], looks: [...named, `step ${step}`, `number ${step}`] }; // prettier-ignore
  if (number === undefined) return { has: [], looks: [] };
  return { has: [...named, `number ${number}`], looks: [...named, `number ${number}`, `step ${number}`] };
}

/** Oldest first, in no line otherwise than it has them itself, unless two lines contradict each other. */
function inOrder(lines: readonly Line[], moments: ReadonlyMap<Part, Moment>): Moment[] {
  const order: Moment[] = [];
  const done = new Set<Moment>();
  const next = lines.map(() => 0);
  for (;;) {
    const heads = lines.flatMap((line, index) => {
      for (let part = line.parts[next[index] ?? 0]; part; part = line.parts[next[index] ?? 0]) {
        const moment = moments.get(part);
        if (moment && !done.has(moment)) return [moment];
        next[index] = (next[index] ?? 0) + 1;
      }
      return [];
    });
    if (heads.length === 0) return order;
    const here = (moment: Moment): number => heads.filter((head) => head === moment).length;
    const ready = heads.filter((moment) => here(moment) === moment.filter((part) => part).length);
    const [first] = (ready.length > 0 ? ready : heads).sort(byAge);
    if (first) {
      order.push(first);
      done.add(first);
    }
  }
}

function byAge(a: Moment, b: Moment): number {
  const [one, two] = [positionOf(a), positionOf(b)];
  return one !== undefined && two !== undefined && one !== two ? one - two : modifiedAt(a) - modifiedAt(b);
}

const factsOf = (moment: Moment): CheckpointFact[] => moment.flatMap((part) => part?.fact ?? []);
const modifiedAt = (moment: Moment): number => Math.max(...factsOf(moment).map((fact) => fact.modifiedAt));
const positionOf = (moment: Moment): number | undefined => {
  const facts = factsOf(moment);
  return facts.find((fact) => fact.step !== undefined)?.step ?? facts.find((fact) => fact.number !== undefined)?.number; // prettier-ignore
};

const worstFirst: readonly Standing[] = ['corrupt', 'tainted', 'suspect', 'partial', 'complete', 'verified', 'safe']; // prettier-ignore

function factOf(lines: readonly Line[], moment: Moment, parts: readonly Part[]): CheckpointFact {
  const facts = parts.map((part) => part.fact);
  const worst = worstFirst.flatMap(
    (standing) => parts.find((part) => part.fact.standing === standing) ?? [],
  )[0];
  const [main] = parts;
  if (!main || !worst) throw new Error('a moment without a part');
  const lacking = lines.filter((line, index) => line.had && !moment[index]);
  const position = positionOf(moment);
  const isWorse = worstFirst.indexOf(worst.fact.standing) < worstFirst.indexOf('partial');
  const what = position === undefined ? 'this one, whose step is not known' : `step ${formatCount(position)}`;
  const step = facts.find((fact) => fact.step !== undefined)?.step;
  return {
    id: main.name,
    path: main.fact.path,
    ...(step !== undefined && { step }),
    ...(main.fact.number !== undefined && { number: main.fact.number }),
    modifiedAt: modifiedAt(moment),
    sizeBytes: facts.reduce((sum, fact) => sum + fact.sizeBytes, 0),
    ...(lacking.length > 0 && !isWorse
      ? {
          standing: 'partial',
          why: `${lacking.map((line) => line.name).join(' and ')} has nothing of ${what}`,
        }
      : {
          standing: worst.fact.standing,
          why: parts.length > 1 ? `${worst.name}: ${worst.fact.why}` : worst.fact.why,
        }),
    ours: facts.every((fact) => fact.ours),
    ...(facts.some((fact) => fact.spare) && { spare: true }),
    ...(facts.every((fact) => fact.inPlace) && { inPlace: true }),
    ...(facts.some((fact) => fact.pinned) && { pinned: true }),
  };
}
