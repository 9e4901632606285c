import { openCheckpointStore } from '../checkpoints/open.js';
import type { CheckpointFact } from '../policy/checkpoint.js';
import { checkpointTable } from '../report/checkpoint-table.js';
import { metricAtSteps } from '../runs/metric-at.js';
import type { CheckpointStore, Inspection } from '../supervisor/ports.js';
import { exitStatus, ok, type Result } from '../util/result.js';
import { plural, printable } from '../util/text.js';
import { type CheckpointPlace, placeOf, type PlaceOptions } from './checkpoints-place.js';
import { refuse } from './refuse.js';
import { systemClock } from './run-parts.js';

export interface ListOptions extends PlaceOptions {
  /** As the training's own lines name it. */
  readonly metric: string;
}

/** One checkpoint folder as it is shown. */
interface Listed {
  readonly store: CheckpointStore;
  readonly inspection: Inspection;
}

/** `trainguard checkpoints list`: what there is and what it is worth, by what is known already: nothing is verified. */
export async function listCheckpoints(target: string | undefined, options: ListOptions): Promise<number> {
  const json = options.json === true;
  const place = await placeOf(target, options);
  if (!place.ok) return refuse(place.error, json);
  const { run, dirs } = place.value;
  const metricAt = run ? await metricAtSteps(run.paths.metrics, options.metric) : () => undefined;
  const now = Date.now();
  const folders: unknown[] = [];
  for (const [index, dir] of dirs.entries()) {
    const listed = await lookAt(dir, place.value);
    if (!listed.ok) return refuse(listed.error, json);
    const { store, inspection } = listed.value;
    const rows = inspection.checkpoints.map((fact) => ({ fact, metric: metricOf(fact, metricAt) }));
    if (json) {
      folders.push({
        ...{ dir: store.dir, layout: store.layout, vault: store.vault ?? null, run: run?.name ?? null },
        checkpoints: rows.map(({ fact, metric }) => viewOf(fact, metric, options.metric, now)),
      });
      continue;
    }
    const width = process.stdout.isTTY ? process.stdout.columns : undefined;
    const lines = [headOf(store), ...(rows.length === 0 ? [noneOf(inspection)] : checkpointTable(rows.map(({ fact, metric }) => rowOf(fact, metric, now)), { metric: options.metric, ...(width !== undefined && { width }) }))]; // prettier-ignore
    process.stdout.write(`${index > 0 ? '\n' : ''}${lines.join('\n')}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, folders })}\n`);
  return exitStatus.done;
}

/** Nothing is written, not even a vault; what was not verified yet is shown so. */
async function lookAt(dir: string, place: CheckpointPlace): Promise<Result<Listed>> {
  const { layout, vault, run, active } = place;
  const notice = (text: string): boolean => process.stderr.write(`trainguard: ${printable(text)}\n`);
  const opened = await openCheckpointStore({
    ...{
      dir,
      guessed: false,
      layout,
      clock: systemClock,
      readOnly: true,
      provenAfterMs: 0,
      onNotice: notice,
    },
    runId: run?.id ?? 'by-hand',
    runStartedAt: run?.createdAt ?? Date.now(),
    ...(vault !== undefined && { vault }),
  });
  if (!opened.ok) return opened;
  const store = opened.value;
  const unfinished = await store.recover();
  if (!unfinished.ok) notice(unfinished.error.message);
  else for (const text of unfinished.value) notice(text);
  const inspection = await store.inspect({ live: active, budgetMs: 0 });
  await store.close();
  return inspection.ok ? ok({ store, inspection: inspection.value }) : inspection;
}

const stepOf = (fact: CheckpointFact): number | undefined => fact.step ?? fact.number;

function metricOf(fact: CheckpointFact, metricAt: (step: number) => number | undefined): number | undefined {
  const step = stepOf(fact);
  return step === undefined ? undefined : metricAt(step);
}

const headOf = (store: CheckpointStore): string =>
  `${printable(store.dir)} · ${store.layout} · vault: ${store.vault === undefined ? 'none yet' : printable(store.vault)}`;

function noneOf({ foreign }: Inspection): string {
  if (foreign.length === 0) return 'no checkpoints: it is empty';
  const some = foreign.slice(0, 3).map(printable).join(', ');
  return `no checkpoints: ${plural(foreign.length, 'entry', 'entries')} of other kinds (${some}${foreign.length > 3 ? ', …' : ''})`;
}

const rowOf = (fact: CheckpointFact, metric: number | undefined, now: number) => {
  const step = stepOf(fact);
  return {
    ...{ id: fact.id, standing: fact.standing, why: fact.why, sizeBytes: fact.sizeBytes },
    ...{ ageMs: now - fact.modifiedAt, spare: fact.spare === true, pinned: fact.pinned === true },
    ...(step !== undefined && { step }),
    ...(metric !== undefined && { metric }),
  };
};

const viewOf = (fact: CheckpointFact, metric: number | undefined, name: string, now: number) => ({
  ...{ id: fact.id, path: fact.path, standing: fact.standing, why: fact.why },
  ...{ step: fact.step ?? null, number: fact.number ?? null, sizeBytes: fact.sizeBytes },
  modifiedAt: new Date(fact.modifiedAt).toISOString(),
  ageSeconds: Math.max(0, Math.round((now - fact.modifiedAt) / 1000)),
  metric: metric === undefined ? null : { name, value: metric },
  ...{ spare: fact.spare === true, pinned: fact.pinned === true, ours: fact.ours },
});
