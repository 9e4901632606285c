import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Line } from '../report/narrate.js';
import { ok, type Result } from '../util/result.js';
import { isUnderWay } from './inheritance.js';
import type { RunPlan } from './run-plan.js';
import type { RunServer } from './serve-run.js';
import type { HeldRun } from './take-up.js';

/** Workers report by HTTP if that is asked for, or if those that live were told where by an earlier supervisor. */
export async function serveWorkers(
  plan: RunPlan,
  { run, history }: HeldRun,
  tell: (lines: readonly Line[]) => void,
  notice: (text: string) => void,
): Promise<Result<RunServer | undefined>> {
  const dir = path.join(run.dir, 'serve');
  const attempt = isUnderWay(history.state) ? history.state.ledger.attempt : undefined;
  const isKnown = attempt !== undefined && existsSync(path.join(dir, 'server.json'));
  if (!plan.serve && !isKnown) return ok(undefined);
  // loads a web server
  const { serveRun } = await import('./serve-run.js');
  return serveRun({ ...plan.serve, dir, attempt }, tell, notice);
}
