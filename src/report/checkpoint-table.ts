import { formatDuration } from '../util/duration.js';
import { formatBytes, formatCount, printable } from '../util/text.js';

/** One line of `trainguard checkpoints list`. What is not known is undefined. */
export interface CheckpointRow {
  readonly id: string;
  readonly standing: string;
  readonly step?: number;
  readonly sizeBytes: number;
  readonly ageMs: number;
  readonly metric?: number;
  readonly spare: boolean;
  readonly pinned: boolean;
  readonly why: string;
}

export interface TableOptions {
  /** The name of the metric; its column is there where any checkpoint has one. */
  readonly metric: string;
  /** Columns of the terminal; undefined: no terminal, nothing is shortened. */
  readonly width?: number;
}

interface Column {
  readonly title: string;
  readonly cell: (row: CheckpointRow) => string;
  readonly right?: true;
}

const gap = '  ';
/** The last column keeps at least so much, or is not shortened at all. */
const leastWhy = 12;

/** A table as people read it, one line a row and its head before them. Pure. */
export function checkpointTable(rows: readonly CheckpointRow[], { metric, width }: TableOptions): string[] {
  const columns: Column[] = [
    { title: 'checkpoint', cell: (row) => printable(row.id) },
    { title: 'standing', cell: (row) => row.standing },
    { title: 'step', cell: ({ step }) => (step === undefined ? '-' : formatCount(step)), right: true },
    { title: 'size', cell: (row) => formatBytes(row.sizeBytes), right: true },
    { title: 'age', cell: (row) => formatDuration(row.ageMs), right: true },
  ];
  if (rows.some((row) => row.metric !== undefined))
    columns.push({ title: printable(metric), cell: (row) => metricWords(row.metric), right: true });
  if (rows.some((row) => row.spare || row.pinned)) columns.push({ title: '', cell: marks });
  columns.push({ title: 'why', cell: (row) => printable(row.why) });
  const lines = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => cell(row))),
  ];
  const widths = columns.map((_, at) => Math.max(...lines.map((cells) => lengthOf(cells[at] ?? ''))));
  return lines.map((cells) => {
    const padded = cells.map((cell, at) => {
      if (at === columns.length - 1) return cell;
      const blank = ' '.repeat((widths[at] ?? 0) - lengthOf(cell));
      return columns[at]?.right ? `${blank}${cell}` : `${cell}${blank}`;
    });
    return shortened(padded, width).trimEnd();
  });
}

/** Cuts the last cell only: names and numbers are what is looked for. */
function shortened(cells: readonly string[], width: number | undefined): string {
  const before = cells.slice(0, -1).join(gap) + gap;
  const last = cells.at(-1) ?? '';
  const room = width === undefined ? Infinity : Math.max(leastWhy, width - lengthOf(before));
  return (
    before +
    (lengthOf(last) <= room
      ? last
      : `${Array.from(last)
          .slice(0, room - 1)
          .join('')}…`)
  );
}

const lengthOf = (text: string): number => Array.from(text).length;

const metricWords = (value: number | undefined): string =>
  value === undefined ? '-' : String(Number(value.toPrecision(5)));

const marks = ({ spare, pinned }: CheckpointRow): string =>
  [...(spare ? ['spare'] : []), ...(pinned ? ['pinned'] : [])].join(', ');
