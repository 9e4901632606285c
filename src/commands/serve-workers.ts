import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Line } from '../report/narrate.js';
import { readVersioned } from '../runs/versioned-file.js';
import { attemptEnv } from '../serve/attempt-scope.js';
import type { ServerRecord } from '../serve/server-record.js';
import { ok, type Result } from '../util/result.js';
import { isUnderWay } from './inheritance.js';
import type { RunPlan } from './run-plan.js';
import { LaterServer } from './serve-later.js';
import type { RunServer } from './serve-run.js';
import type { HeldRun } from './take-up.js';

/**
 * Workers report by HTTP if that is asked for, or if those that live were told where by an earlier supervisor.
 * @returns why not; never where an attempt is under way, for then its training comes first
 */
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
  const open = async (
    hear: typeof notice,
    attemptNow?: () => number | undefined,
  ): Promise<Result<RunServer>> => {
    // loads a web server
    const { serveRun } = await import('./serve-run.js');
    const anyPort = attemptNow !== undefined;
    const settings = { ...plan.serve, dir, attempt: attemptNow?.(), anyPort };
    const server = await serveRun({ ...settings, ...(attemptNow && { attemptNow }) }, tell, hear);
    if (server.ok) tell([{ tone: 'detail', text: `workers report to ${server.value.url}` }]);
    return server;
  };
  if (attempt === undefined) return open(notice);
  const before = await readVersioned<ServerRecord>(path.join(dir, 'server.json'), 'delete it');
  const envOf = (attempt: number): Readonly<Record<string, string>> =>
    before.ok && before.value
      ? attemptEnv(before.value.url, attempt, path.join(dir, 'token'), before.value.caFile)
      : {};
  return ok(await LaterServer.start({ open: (now, hear) => open(hear, now), attempt, envOf, notice }));
}
