import type { Prunable, Pruned } from '../supervisor/ports.js';
import { exitStatus, type Result } from '../util/result.js';
import { formatBytes, printable } from '../util/text.js';
import { openForVerb } from './checkpoints-open.js';
import { type CheckpointPlace, placeOf, type PlaceOptions } from './checkpoints-place.js';
import { refuse } from './refuse.js';

export interface PruneOptions extends PlaceOptions {
  readonly dryRun?: true;
  readonly folder?: true;
}

/** How long verification may take before it is decided what is good, ms. */
const verifyBudgetMs = 30 * 60_000;

/**
 * `trainguard checkpoints prune`: removes what no rule of `checkpoints.keep` keeps, from the vault, and from the folder
 * itself only with `--folder`. While a run is active its supervisor does so by itself.
 */
export async function pruneCheckpoints(target: string | undefined, options: PruneOptions): Promise<number> {
  const json = options.json === true;
  const place = await placeOf(target, options);
  if (!place.ok) return refuse(place.error, json);
  const { run, active, dirs } = place.value;
  if (active && !options.dryRun && run) {
    return refuse(
      {
        message: `run ${run.name} is active, and its supervisor prunes by itself; --dry-run shows what would go`,
        exit: exitStatus.busy,
      },
      json,
    );
  }
  const folders: unknown[] = [];
  for (const dir of dirs) {
    const pruned = await pruneOne(dir, place.value, options);
    if (!pruned.ok) return refuse(pruned.error, json);
    if (json)
      folders.push({ dir, run: run?.name ?? null, removed: pruned.value.drop, kept: pruned.value.keep, bytes: sum(pruned.value.drop) }); // prettier-ignore
    else if (!options.quiet) process.stdout.write(describe(dir, pruned.value, options));
  }
  if (json)
    process.stdout.write(
      `${JSON.stringify({ schemaVersion: 1, dryRun: options.dryRun ?? false, folders })}\n`,
    );
  return exitStatus.done;
}

async function pruneOne(dir: string, place: CheckpointPlace, options: PruneOptions): Promise<Result<Pruned>> {
  const dryRun = options.dryRun === true;
  const opened = await openForVerb(dir, place, options, dryRun);
  if (!opened.ok) return opened;
  const { store, close } = opened.value;
  try {
    // a training that nobody supervises may be saving
    const seen = await store.inspect({ live: true, budgetMs: verifyBudgetMs });
    if (!seen.ok) return seen;
    return await store.prune({ dryRun, folder: options.folder === true });
  } finally {
    await close();
  }
}

const kinds: Readonly<Record<Prunable['kind'], string>> = {
  spare: 'spare in the vault',
  transaction: 'moved away by a rollback',
  checkpoint: 'checkpoint in the folder',
};

const sum = (some: readonly Prunable[]): number => some.reduce((bytes, one) => bytes + one.bytes, 0);

function describe(dir: string, { keep, drop }: Pruned, { dryRun }: PruneOptions): string {
  const line = ({ kind, id, because, bytes }: Prunable, verb: string): string =>
    `  ${verb} ${printable(id)} (${kinds[kind]}, ${formatBytes(bytes)}): ${printable(because)}\n`;
  const freed = drop.length === 0 ? 'nothing goes' : `${formatBytes(sum(drop))} ${dryRun ? 'would be freed' : 'freed'}`; // prettier-ignore
  return [
    `${printable(dir)}: ${freed}\n`,
    ...drop.map((one) => line(one, dryRun ? 'would remove' : 'removed')),
    ...keep.map((one) => line(one, 'keeps')),
  ].join('');
}
