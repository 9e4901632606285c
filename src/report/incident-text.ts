import { formatDuration } from '../util/duration.js';
import { formatCount, plural } from '../util/text.js';
import type { CheckpointName, Incident } from './incident.js';
import { exitWords } from './narrate.js';

/** An incident as a person reads it: Markdown that is plain text too. Pure. */
export function incidentText(incident: Incident, level = 1): string {
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ['What happened', happened(incident)],
    ['What speaks for it', evidenceLines(incident)],
    [
      'What was done',
      incident.done.map(
        ({ at, type, text }) => `- ${timeOf(at)}  ${type === 'decided' ? 'decided: ' : ''}${text}`,
      ),
    ],
    ['What was lost', [lossWords(incident)]],
    ['What you may do', adviceLines(incident)],
    ['Where to look', whereLines(incident)],
  ];
  const mark = '#'.repeat(level);
  const head = `${mark} Incident ${incidentNumber(incident.number)}: ${headline(incident)}`;
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${mark}# ${title}\n\n${lines.join('\n')}`);
  return `${[head, ...body].join('\n\n')}\n`;
}

/** `001`, as its files are called. */
export const incidentNumber = (n: number): string => String(n).padStart(3, '0');

/** `run train, attempt 0 failed after 12m 31s at step 1,240: host-memory`. */
const headline = (incident: Incident): string => `run ${incident.run}, ${failedWords(incident)}`;

/** `attempt 0 failed after 12m 31s at step 1,240: host-memory`. */
export const failedWords = ({
  attempt,
  afterSeconds,
  step,
  kind,
}: Pick<Incident, 'attempt' | 'afterSeconds' | 'step' | 'kind'>): string => {
  const after = afterSeconds === null ? '' : ` after ${formatDuration(afterSeconds * 1000)}`;
  const at = step === null ? '' : ` at step ${formatCount(step)}`;
  return `attempt ${attempt} failed${after}${at}: ${kind}`;
};

/** How sure a classification is, as a person says it. */
export function confidenceWords(confidence: number): string {
  const percent = `${Math.round(confidence * 100)} %`;
  if (confidence >= 0.9) return `nearly certain (${percent})`;
  if (confidence >= 0.75) return `very likely (${percent})`;
  if (confidence >= 0.5) return `likely (${percent})`;
  return `a guess (${percent})`;
}

/** What became of it, in a few words. */
export function outcomeWords({ outcome, action, next }: Incident): string {
  switch (outcome) {
    case 'recovered':
      return 'the training went on';
    case 'gave-up':
      return next ? 'a later attempt failed too, and the run was given up' : (action ?? 'gave up');
    case 'stopped':
      return 'the run was stopped';
    case null:
      if (next) return `attempt ${next.attempt} has yet to make progress`;
      return action ?? 'it is being judged';
  }
}

function happened(incident: Incident): readonly string[] {
  const { cause, confidence, exit, badStep, stacks, codeChanged, resumedFrom, at } = incident;
  return [
    `${cause}.`,
    '',
    `- when: ${at.slice(0, 19).replace('T', ' ')} UTC`,
    ...(confidence === null ? [] : [`- how sure: ${confidenceWords(confidence)}`]),
    `- how it ended: ${exitWords(exit)}`,
    ...(resumedFrom === null ? [] : [`- it had resumed from: ${checkpointWords(resumedFrom)}`]),
    ...(badStep === null ? [] : [`- bad from step: ${formatCount(badStep)}`]),
    ...(stacks?.top === undefined ? [] : [`- where it hung: ${stacks.top}`]),
    ...(codeChanged === null ? [] : [`- the code is not the same: ${codeChanged}`]),
    `- now: ${outcomeWords(incident)}`,
  ];
}

const evidenceLines = ({ evidence }: Incident): readonly string[] =>
  evidence
    .flatMap(({ text, source, file, line }) => [
      `- ${file === null ? source : `${file}${line === null ? '' : `:${line}`}`}`,
      '',
      ...text.split('\n').map((one) => `      ${one}`),
      '',
    ])
    .slice(0, -1);

function lossWords({ lost, outcome, step }: Incident): string {
  if (lost) {
    return lost.steps === 0
      ? 'nothing: no step had to be done again.'
      : `${plural(lost.steps, 'step')}, ${formatDuration(lost.seconds * 1000)} of training: they were done again.`;
  }
  if (outcome === 'recovered') return 'not known: the training reports no steps.';
  if (outcome === null) return 'not known yet: that shows once the next attempt makes progress.';
  const again = 'what was trained after the newest checkpoint has to be done again when it goes on.';
  return step === null ? `nothing is known of steps; ${again}` : `nothing so far; ${again}`;
}

function adviceLines({ advice, outcome, run }: Incident): readonly string[] {
  const lines = advice === null ? [] : [`- ${advice}`];
  if (outcome === 'gave-up')
    lines.push(
      `- ${advice === null ? '' : 'then '}"trainguard resume ${run}" launches it again, with fresh retries`,
    );
  if (outcome === 'stopped') lines.push(`- "trainguard resume ${run}" launches it again`);
  if (lines.length > 0) return lines;
  return outcome === 'recovered'
    ? ['- nothing has to be done.']
    : ['- nothing has to be done while trainguard still retries.'];
}

function whereLines(incident: Incident): readonly string[] {
  const { logs, stacks, rollbacks } = incident;
  const moved = rollbacks.flatMap(({ quarantine, quarantined }) =>
    quarantined.length === 0
      ? []
      : [`- moved away (${quarantined.join(', ')}): ${quarantine ?? 'in quarantine'}`],
  );
  return [
    `- logs: ${logs}`,
    ...(stacks ? [`- stacks of all threads (${stacks.by}): ${stacks.file}`] : []),
    ...moved,
    ...(moved.length > 0
      ? [`- "trainguard rollback ${incident.run} --undo" takes the last rollback back`]
      : []),
  ];
}

const checkpointWords = ({ id, step }: CheckpointName): string =>
  step === null ? id : `${id} (step ${formatCount(step)})`;

const timeOf = (at: string): string => at.slice(11, 19);
