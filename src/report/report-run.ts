import { formatDuration } from '../util/duration.js';
import { formatCount, plural } from '../util/text.js';
import { type CheckpointRow, checkpointTable } from './checkpoint-table.js';
import type { Incident } from './incident.js';
import { incidentNumber, incidentText, outcomeWords } from './incident-text.js';
import type { RunStatus } from './run-status.js';

/** A checkpoint folder, as far as it can be read. */
export type FolderReport =
  | { readonly dir: string; readonly vault: string | null; readonly rows: readonly CheckpointRow[] }
  /** Why it cannot, in words. */
  | { readonly problem: string };

/** All of a run, for one page. */
export interface RunReport {
  readonly status: RunStatus;
  /** Oldest first. */
  readonly incidents: readonly Incident[];
  readonly folders: readonly FolderReport[];
  /** What lies where: a name, and a path. */
  readonly files: readonly (readonly [string, string])[];
}

/** So many of the newest incidents are told at length. */
const mostAtLength = 100;

/** A run in Markdown that is readable as it stands. Pure. */
export function reportRun({ status, incidents, folders, files }: RunReport): string {
  const parts = [
    `# Run ${status.run}: ${status.state}`,
    courseOf(status, incidents).join('\n'),
    '## Failures',
    failureTable(incidents),
    '## Checkpoints',
    folders.length === 0 ? 'no checkpoint folder is known.' : folders.map(folderText).join('\n\n'),
    '## Files',
    files.map(([name, file]) => `- ${name}: ${file}`).join('\n'),
  ];
  const told = incidents.slice(-mostAtLength);
  if (told.length > 0) parts.push('## Incidents');
  if (told.length < incidents.length)
    parts.push(
      `The newest ${formatCount(told.length)} of ${formatCount(incidents.length)}; the others are in the files.`,
    );
  return `${[...parts, ...told.map((one) => incidentText(one, 3).trimEnd())].join('\n\n')}\n`;
}

function courseOf(status: RunStatus, incidents: readonly Incident[]): readonly string[] {
  const { step, totalSteps, loss, reason, goodput, command, checkpoint, warning, waitingFor } = status;
  const begun = status.workers.length > 0;
  const { latest, safe } = checkpoint;
  const all = begun ? status.attempt + 1 : 0;
  const stepWords = step === null ? 'not known' : `${formatCount(step)}${totalSteps === null ? '' : ` of ${formatCount(totalSteps)}`}`; // prettier-ignore
  return [
    ...(command.length > 0 ? [`- command: \`${command.join(' ').replaceAll('`', "'")}\``] : []),
    ...(reason === null || reason === status.state ? [] : [`- why: ${reason}`]),
    ...(warning === null ? [] : [`- warning: ${warning}`]),
    ...(waitingFor === null ? [] : [`- it waits for: ${waitingFor}`]),
    `- attempts: ${formatCount(all)}`,
    `- failures: ${formatCount(incidents.length)} over all starts of the run, ${formatCount(status.totalFailures)} since the last; ${status.retriesUsed} of ${status.maxRetries} retries are used`,
    `- step: ${stepWords}${loss === null ? '' : `, loss ${loss}`}`,
    `- goodput: ${goodput.ettr === null ? 'not known, as no steps were reported' : `${(goodput.ettr * 100).toFixed(1)} % of ${formatDuration(goodput.wallSeconds * 1000)} went into steps that were kept`}`,
    `- steps done again: ${formatCount(goodput.lostSteps)}`,
    `- newest checkpoint: ${latest ? `${latest.id} (${latest.standing})` : 'none is known'}${safe && safe.id !== latest?.id ? `; the newest safe one: ${safe.id}` : ''}`,
  ];
}

/** A Markdown table whose columns stand below each other. */
function failureTable(incidents: readonly Incident[]): string {
  if (incidents.length === 0) return 'none.';
  const rows = [
    ['no.', 'attempt', 'when (UTC)', 'after', 'step', 'kind', 'what was done', 'steps lost', 'now'],
    ...incidents.map((one) => [
      incidentNumber(one.number),
      String(one.attempt),
      one.at.slice(0, 19).replace('T', ' '),
      one.afterSeconds === null ? '?' : formatDuration(one.afterSeconds * 1000),
      one.step === null ? '?' : formatCount(one.step),
      one.kind,
      doneWords(one),
      one.lost === null ? '?' : formatCount(one.lost.steps),
      one.outcome === 'gave-up' ? 'given up' : outcomeWords(one),
    ]),
  ].map((cells) => cells.map((cell) => cell.replaceAll('|', '/').replaceAll('\n', ' ')));
  const [head = []] = rows;
  const widths = head.map((_, at) => Math.max(...rows.map((cells) => (cells[at] ?? '').length)));
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`; // prettier-ignore
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return [line(head), rule, ...rows.slice(1).map(line)].join('\n');
}

function doneWords({ action, rollbacks }: Incident): string {
  const target = rollbacks.at(-1)?.target;
  const back = rollbacks.length === 0 ? '' : target ? `; back to ${target.id}` : '; back to the beginning';
  return `${action ?? 'being judged'}${back}`;
}

function folderText(folder: FolderReport): string {
  if ('problem' in folder) return folder.problem;
  const { dir, vault, rows } = folder;
  const head = `${dir}, ${plural(rows.length, 'checkpoint')}; vault: ${vault ?? 'none yet'}`;
  if (rows.length === 0) return head;
  const table = checkpointTable(rows, { metric: 'loss' }).map((line) => `    ${line}`);
  return `${head}\n\n${table.join('\n')}`;
}
