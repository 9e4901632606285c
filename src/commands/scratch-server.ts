import path from 'node:path';
import type { Line } from '../report/narrate.js';
import { ok, type Result } from '../util/result.js';
import type { RunPlan } from './run-plan.js';
import type { RunServer } from './serve-run.js';

/**
 * Where the workers of a drill or a trial report by HTTP, as those of `run --serve` do. The server that the shell names is
 * never theirs: what they save there would take the place of a real training's checkpoints.
 * @param root the scratch folder, in which it keeps everything
 * @returns undefined: nothing says that the training wants one
 */
export async function scratchServer(
  { serve }: Pick<RunPlan, 'serve'>,
  root: string,
  say: (tone: Line['tone'], text: string) => void,
): Promise<Result<RunServer | undefined>> {
  const named = process.env['TRAINGUARD_URL'] !== undefined;
  if (!named && !serve) return ok(undefined);
  // loads a web server
  const { serveRun } = await import('./serve-run.js');
  const server = await serveRun(
    // no shadow of a real folder bears that name
    { dir: path.join(root, '.trainguard-drill-serve'), attempt: undefined },
    () => undefined,
    (text) => say('warning', text),
  );
  const instead = named ? ', not to the one that TRAINGUARD_URL names' : '';
  if (server.ok) say('detail', `its workers report to a server in the scratch folder${instead}`);
  return server;
}
