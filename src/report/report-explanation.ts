import type { Exit, FailureKind } from '../failure/types.js';
import { formatBytes, formatCount, plural, printable } from '../util/text.js';
import { confidenceWords } from './incident-text.js';
import { exitWords } from './narrate.js';

/** How a program ended, and how that is known. */
export interface ExplainedExit {
  readonly exit: Exit;
  /** `said`: by the log's last lines; `assumed`: nobody knows, so it is taken to have failed. */
  readonly by: 'given' | 'said' | 'assumed';
}

export interface SignEvidence {
  readonly text: string;
  readonly file: string | null;
  readonly line: number | null;
}

/** A failure that a log shows. */
export interface Sign {
  readonly kind: FailureKind;
  /** One sentence. */
  readonly cause: string;
  /** 0 to 1. */
  readonly confidence: number;
  readonly advice: string | null;
  readonly signature: string | null;
  readonly fingerprint: string | null;
  readonly evidence: readonly SignEvidence[];
  /** How often it is there, and the evidence of the last time. */
  readonly times: number;
  readonly last: SignEvidence | null;
}

/** What `trainguard explain` found. */
export interface Explanation {
  readonly exit: ExplainedExit;
  /** Why the program ended; null: no failure was found. */
  readonly cause: Sign | null;
  /** Other failures that the logs show, each once, oldest first: handled ones, or those of attempts before. */
  readonly before: readonly Sign[];
  /** The cause does not stand at the log's end: so many lines follow it. Null: it does. */
  readonly linesAfter: number | null;
  readonly logs: readonly {
    readonly file: string;
    readonly bytes: number;
    readonly lines: number;
    /** Places that look like failures, or stretches full of them, that were not read closely: there are too many. */
    readonly passedOver: number;
    /** Its last lines. */
    readonly ending: readonly string[];
  }[];
}

/** An explanation as a person reads it. Pure. */
export function describeExplanation(explanation: Explanation): string {
  const { cause, before, logs, exit, linesAfter } = explanation;
  const lines: string[] = [];
  if (cause) {
    if (linesAfter !== null)
      lines.push(
        `the end of the log tells of no failure; the last one stands ${plural(linesAfter, 'line')} before it`,
        'and may have been handled:',
      );
    lines.push(`${cause.kind}, ${confidenceWords(cause.confidence)}`, `  ${cause.cause}`);
    if (cause.evidence.length > 0) lines.push('', 'evidence', ...cause.evidence.map(evidenceLine));
    if (cause.advice !== null) lines.push('', 'what you may do', `  ${cause.advice}`);
  } else {
    lines.push(...nothingFound(explanation));
  }
  const [began] = before;
  if (began) {
    lines.push('', cause ? 'before that' : 'errors that did not end it');
    for (const sign of before) lines.push(...signLines(sign));
  }
  lines.push('');
  for (const { file, bytes, lines: count, passedOver } of logs) {
    const over = passedOver === 0 ? '' : `; ${plural(passedOver, 'place')} in it not read closely`;
    lines.push(`read ${file}: ${plural(count, 'line')}, ${formatBytes(bytes)}${over}`);
  }
  if (exit.by === 'assumed' && cause)
    lines.push('how it ended is not in the log; --exit-code or --signal tells more exactly');
  if (exit.by === 'said') lines.push(`the log says that it ended with ${exitWords(exit.exit)}`);
  return `${lines.map(printable).join('\n')}\n`;
}

const isSuccess = (exit: Exit): boolean => exit.type === 'code' && exit.code === 0;

const placeOf = ({ file, line }: SignEvidence): string =>
  file === null ? '' : `${file}${line === null ? '' : `:${line}`}`;

const evidenceLine = (evidence: SignEvidence): string => `  ${placeOf(evidence)}  ${evidence.text}`;

function signLines({ kind, cause, evidence, times, last }: Sign): readonly string[] {
  const [first] = evidence;
  const often =
    times === 1 ? '' : ` (${formatCount(times)} times${last ? `, last at ${placeOf(last)}` : ''})`;
  return [`  ${first ? `${placeOf(first)}  ` : ''}${kind}${often}`, `    ${cause}`];
}

function nothingFound({ exit, logs }: Explanation): readonly string[] {
  if (exit.by === 'given' && isSuccess(exit.exit)) return ['no failure: it ended with exit status 0'];
  if (logs.every(({ bytes }) => bytes === 0))
    return [logs.length === 1 ? 'the log is empty' : 'the logs are empty'];
  const closely = logs.some(({ passedOver }) => passedOver > 0)
    ? ', but not everything that looks like one was read closely'
    : '';
  const endings = logs.flatMap(({ ending }) => ending).filter((line) => line.trim() !== '');
  return [
    `no known failure found${closely}; it ends with`,
    ...endings.map((line) => `  ${line.slice(0, 300)}`),
  ];
}
