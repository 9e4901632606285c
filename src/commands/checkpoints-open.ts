import { openCheckpointStore } from '../checkpoints/open.js';
import { defaults } from '../config/defaults.js';
import { loadConfig } from '../config/load.js';
import { resolveKeep } from '../config/resolve.js';
import { metricAtSteps } from '../runs/metric-at.js';
import { checkpointRegistryOf } from '../runs/run-dir.js';
import type { CheckpointStore } from '../supervisor/ports.js';
import { acquireLock } from '../util/os/lock.js';
import { ok, type Result } from '../util/result.js';
import { printable } from '../util/text.js';
import type { CheckpointPlace, PlaceOptions } from './checkpoints-place.js';
import { systemClock } from './run-parts.js';
import { seekerOf } from './seeker.js';

/** One checkpoint folder in the hands of a verb that changes something. */
export interface OpenCheckpoints {
  readonly store: CheckpointStore;
  readonly close: () => Promise<void>;
}

export const sayNotice = (text: string): void =>
  void process.stderr.write(`trainguard: ${printable(text)}\n`);

/**
 * Opens a folder for a verb, alone unless it only looks.
 * @returns exit 75 while a supervisor or another verb holds it
 */
export async function openForVerb(
  dir: string,
  place: CheckpointPlace,
  options: PlaceOptions,
  readOnly: boolean,
): Promise<Result<OpenCheckpoints>> {
  const loaded = await loadConfig(seekerOf(options));
  if (!loaded.ok) return loaded;
  const { checkpoints } = loaded.value.config;
  const { layout, vault, run } = place;
  const opened = await openCheckpointStore({
    ...{ dir, guessed: false, layout, clock: systemClock, readOnly, onNotice: sayNotice },
    ...{
      provenAfterMs: checkpoints?.provenAfter ?? defaults.checkpoints.provenAfterMs,
      keep: resolveKeep(checkpoints?.keep),
    },
    ...(run && { metrics: (name: string) => metricAtSteps(run.paths.metrics, name) }),
    runId: run?.id ?? 'by-hand',
    runStartedAt: run?.createdAt ?? systemClock.now(),
    ...(vault !== undefined && { vault }),
  });
  if (!opened.ok) return opened;
  const store = opened.value;
  if (readOnly || store.vault === undefined) return ok({ store, close: () => store.close() });
  const lock = await acquireLock({
    ...{ kind: 'checkpoints', run: run?.name ?? 'checkpoints', dir: store.dir, keepIn: store.vault },
    registry: checkpointRegistryOf(place.stateDir),
  });
  const close = async (): Promise<void> => {
    await store.close();
    if (lock.ok) await lock.value.release();
  };
  const finished = lock.ok ? await store.recover() : lock;
  if (!finished.ok) {
    await close();
    return finished;
  }
  for (const text of finished.value) sayNotice(text);
  return ok({ store, close });
}
