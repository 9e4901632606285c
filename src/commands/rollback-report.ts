import type { CheckpointFact, RollbackDone, RollbackPlan } from '../supervisor/ports.js';
import { formatBytes, formatCount, printable } from '../util/text.js';

/** What a `rollback` did or would do; all of it goes into `--json`. */
export interface RollbackReport {
  /** What training resumes from now; undefined: nothing is left. */
  readonly target: CheckpointFact | undefined;
  readonly plan: RollbackPlan;
  /** Undefined: nothing was done. */
  readonly done?: RollbackDone;
  readonly dryRun: boolean;
  readonly undo: boolean;
}

export function rollbackJson({ target, plan, done, dryRun, undo }: RollbackReport): unknown {
  return {
    schemaVersion: 1,
    target: target
      ? { id: target.id, path: target.path, step: stepOf(target) ?? null, standing: target.standing }
      : null,
    moves: plan.moves.map(({ id }) => id),
    moved: done?.moved ?? [],
    restores: plan.restores.map(({ id }) => id),
    restored: done?.restored ?? [],
    others: done?.others ?? plan.others,
    tx: done?.tx ?? null,
    ...{ dryRun, undo },
  };
}

/** For people: what goes where, a line each. */
export function rollbackText(report: RollbackReport): string {
  const { plan, done, dryRun } = report;
  const moves = done?.moved ?? plan.moves;
  const lines = [
    ...moves.map(({ id, to }) => `${id} → ${to}`),
    ...(done
      ? done.restored.map(({ id, to }) => `put back ${id} → ${to}`)
      : plan.restores.map(({ id, to, sizeBytes }) => `put back ${id} → ${to} (${formatBytes(sizeBytes)})`)),
    ...(done?.others ?? plan.others),
    ...(done && !report.undo ? ['"trainguard rollback --undo" takes it back'] : []),
  ];
  const head = headOf(report, lines.length === 0 && !dryRun);
  return [head, ...lines.map((line) => `  ${line}`)].map((line) => `${printable(line)}\n`).join('');
}

function headOf({ target, done, dryRun, undo, plan }: RollbackReport, nothing: boolean): string {
  const name = target ? `${target.id}${detail(target)}` : 'nothing';
  if (undo) return `took back the rollback; the newest good checkpoint is ${name}`;
  if (isNothing(plan)) return `${name} is already the newest checkpoint; nothing was moved`;
  if (dryRun) return `would roll back to ${name}:`;
  return `rolled back to ${name}${done && !nothing ? ` (${done.tx})` : ''}`;
}

/** Whether the folder is already as it is wanted. */
export const isNothing = ({ moves, restores, others }: RollbackPlan): boolean =>
  moves.length + restores.length + others.length === 0;

function detail(target: CheckpointFact): string {
  const step = stepOf(target);
  return step === undefined ? '' : ` (step ${formatCount(step)}, ${target.standing})`;
}

const stepOf = (target: CheckpointFact): number | undefined => target.step ?? target.number;
