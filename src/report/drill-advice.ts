import type { Failure } from '../failure/types.js';
import type { AttemptSeen, DrillTarget, ResumeFlag, ScriptFacts } from './drill-facts.js';

/** How a flag is to be given. A flag that speaks of a folder gets the folder. */
export function useOf({ flag, takesValue }: ResumeFlag): string {
  const value = /dir|folder/i.test(flag) ? '{dir}' : '{path}';
  return `--resume-args '${takesValue ? `${flag} ${value}` : flag}'`;
}

/** Which line is to load what. */
export const loadLine = (script: ScriptFacts | undefined): string =>
  script?.loads
    ? `line ${script.loads.line} of ${script.loads.file} (${script.loads.text}) loads, but not this checkpoint: it must load the one in os.environ["TRAINGUARD_RESUME_FROM"]`
    : 'it must load the checkpoint in os.environ["TRAINGUARD_RESUME_FROM"]';

/** A flag as it stands in the command, its value with it. */
export function spelled(argv: readonly string[], flag: string): string {
  const at = argv.findIndex((word) => word.split('=')[0] === flag);
  const [word = flag, next] = argv.slice(at, at + 2);
  return word.includes('=') || next === undefined || next.startsWith('-') ? word : `${word} ${next}`;
}

/** Lines of the log that the reason does not quote already. */
export const shownOf = ({ reason, evidence }: Failure): readonly string[] =>
  evidence.slice(0, 2).flatMap(({ text }) => (reason.includes(text) ? [] : [text]));

/** The first loss after the relaunch is like the one at the checkpoint, and unlike the one of a fresh start. */
export function lossWentOn(first: AttemptSeen, { loss }: DrillTarget, second: AttemptSeen): boolean {
  const [fresh, again] = [first.firstLoss, second.firstLoss];
  if (fresh === undefined || again === undefined || loss === undefined) return false;
  // noise is no way
  if (Math.abs(fresh - loss) <= leastWay * Math.abs(fresh)) return false;
  return Math.abs(again - loss) * 3 < Math.abs(again - fresh);
}

/** The part of its first loss that a training must have come down by for its losses to tell anything. */
const leastWay = 0.1;

/** What the second attempt said of loading and the first did not; numbers and paths may differ. */
export function newMentions(first: AttemptSeen, second: AttemptSeen): readonly string[] {
  const shape = (line: string): string => line.replace(/[\d.]+|\S*\/\S*/g, '#');
  const known = new Set(first.mentions.map(shape));
  return second.mentions.filter((line) => !known.has(shape(line)));
}

/** `resumed from …`, but not `nothing to resume from`. */
export const saysItLoaded = (line: string): boolean =>
  /load|restor|resum/i.test(line) &&
  !/\b(?:no|not|nothing|none|without|cannot|fail\w*|missing)\b/i.test(line);
