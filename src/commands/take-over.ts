import path from 'node:path';
import type { Run } from '../runs/run-dir.js';
import type { Result } from '../util/result.js';
import { startDetached } from './detach.js';
import { look } from './stop-wait.js';

/**
 * Gives a run that has none a supervisor in the background, which takes over its living worker. Another one that did
 * so at the same instant is as good as ours, and one that holds the run need not say so. A run that turns out to have ended is not started anew.
 */
export async function takeOver(run: Run): Promise<Result<unknown>> {
  const stateDir = path.resolve(run.dir, '..', '..');
  // what it says comes by its log
  const words = ['resume', run.name, '--state-dir', stateDir, '--unless-ended'];
  const started = await startDetached(words, () => undefined);
  if (started.ok) return started;
  const found = await look(run);
  return found.ok && found.value.active ? found : started;
}
