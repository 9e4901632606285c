import path from 'node:path';
import type { Run } from '../runs/run-dir.js';
import { exitStatus, type Result } from '../util/result.js';
import { startDetached } from './detach.js';
import { look } from './stop-wait.js';

/**
 * Gives a run that has none a supervisor in the background, which takes over its living worker. Another one that did
 * so at the same instant is as good as ours.
 */
export async function takeOver(run: Run): Promise<Result<unknown>> {
  const stateDir = path.resolve(run.dir, '..', '..');
  // what it says comes by its log
  const started = await startDetached(['resume', run.name, '--state-dir', stateDir], () => undefined);
  if (started.ok || started.error.exit !== exitStatus.busy) return started;
  const found = await look(run);
  return found.ok && found.value.active ? found : started;
}
