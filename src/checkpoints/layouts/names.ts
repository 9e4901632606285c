/** A run of digits in a name, with the word before it. */
export interface DigitRun {
  readonly value: number;
  readonly label: string;
  /**
   * `order`: it may tell checkpoints apart. `rank`: it tells the files of one checkpoint apart.
   * `noise`: part of a decimal (a loss), of an extension (`.h5`), or of `-of-00004`.
   */
  readonly role: 'order' | 'rank' | 'noise';
}

export interface ParsedName {
  /** The name with every run of digits replaced: names that differ only in digits share it. */
  readonly template: string;
  readonly runs: readonly DigitRun[];
}

const rankWords = new Set([
  'rank',
  'mp',
  'tp',
  'pp',
  'dp',
  'ep_rank',
  'gpu',
  'node',
  'worker',
  'proc',
  'process',
]);
/** Words of progress; the first that varies in a series orders it. */
const stepWords = ['step', 'steps', 'globalstep', 'iter', 'iters', 'iteration', 'iterations'];
const orderWords = [...stepWords, 'batch', 'ba', 'epoch', 'ep'];

/** Takes a name apart. Pure. */
export function parseName(name: string): ParsedName {
  const extensionAt = /\.[a-z][a-z0-9]*$/i.exec(name)?.index ?? name.length;
  const runs: DigitRun[] = [];
  for (const match of name.matchAll(/\d+/g)) {
    const before = name.slice(0, match.index);
    const after = name.slice(match.index + match[0].length);
    const label = (/([a-z]+)[-_=.\s]*$/i.exec(before)?.[1] ?? '').toLowerCase();
    const noise =
      match.index > extensionAt ||
      /\d\.$/.test(before) ||
      /^\.\d/.test(after) ||
      (label === 'of' && /\d-of-$/.test(before));
    const role = noise ? 'noise' : rankWords.has(label) || /^-of-\d/.test(after) ? 'rank' : 'order';
    runs.push({ value: Number(match[0]), label, role });
  }
  return { template: name.replace(/\d+/g, '#'), runs };
}

/** Which of a series' digit runs orders it: one that varies, best one called a step, else the last. */
export function orderingRun(names: readonly ParsedName[]): number | undefined {
  const first = names[0];
  if (!first) return undefined;
  const candidates = first.runs.flatMap((run, index) => (run.role === 'order' ? [index] : []));
  const varying = candidates.filter(
    (index) => new Set(names.map((name) => name.runs[index]?.value)).size > 1,
  );
  const among = varying.length > 0 ? varying : candidates;
  for (const word of orderWords) {
    const index = among.find((candidate) => first.runs[candidate]?.label === word);
    if (index !== undefined) return index;
  }
  return among.at(-1);
}

export const isStepWord = (label: string | undefined): boolean => stepWords.includes(label ?? '');

/** `step`, `epoch`… when the number is called one of these: numbers of different kinds never meet. */
export const orderWordOf = (label: string | undefined): string =>
  isStepWord(label) ? 'step' : orderWords.includes(label ?? '') ? (label ?? '') : '';

/** Not ours to look at: hidden, or still under a temporary name. */
export const isHidden = (name: string): boolean => name.startsWith('.');
export const isTemporary = (name: string): boolean =>
  // safetensors' own: `.tmpwEHAsE`
  /^\.tmp\w{6}$/.test(name) ||
  /^(?:tmp|temp)[-_.]|[-_.](?:tmp|temp|partial|incomplete|part|swp|inprogress)(?:[-_.].*)?$|~$/i.test(name);

/** Words that a checkpoint's name bears, anywhere in it. */
export const hasCheckpointWord = (name: string): boolean =>
  /ckpt|checkpoint|step|epoch|iter|state|model/i.test(name);

/** The same and more, for a single file whose name has no number. */
export const hasLoneWord = (name: string): boolean =>
  hasCheckpointWord(name) || /last|latest|best|final|weights|snapshot|backup|resume|save|optim/i.test(name);

const dataWords = new Set(
  'shard shards data dataset datasets val valid validation test eval part parts tfevents events log logs runs wandb tensorboard samples images'.split(
    ' ',
  ),
);

/** Data sets and logs: never touched, whatever they hold. `train` alone is data, `train_state` is not. */
export function isData(name: string): boolean {
  const words = name.toLowerCase().split(/[^a-z]+/);
  if (words.some((word) => dataWords.has(word))) return true;
  return words.includes('train') && !hasCheckpointWord(name);
}

/** A copy that a metric chose. */
export const isChosen = (name: string): boolean => /(?:^|[^a-z])best(?:[^a-z]|$)/i.test(name);

/** A copy or a choice among a series, not a part of each of its checkpoints. */
export const isExtra = (name: string): boolean => /best|last|latest|final|top/i.test(name);
