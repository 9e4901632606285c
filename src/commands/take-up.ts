import fs from 'node:fs/promises';
import path from 'node:path';
import { attemptDirs, findLivingWorker } from '../engines/local/launch-record.js';
import { resolveCommand } from '../engines/local/resolve-command.js';
import type { StateRecord } from '../report/status-view.js';
import { type LaunchRecord, writeLaunch } from '../runs/launch-record.js';
import { clearRequests, listRequests } from '../runs/requests.js';
import { withoutIdentity } from '../runs/open-run.js';
import { takeOverState } from '../runs/state-file.js';
import {
  attemptDirOf,
  checkpointRegistryOf,
  createRun,
  openRun,
  remakeRun,
  type Run,
  runDirOf,
} from '../runs/run-dir.js';
import type { State } from '../policy/state.js';
import { writeVersioned } from '../runs/versioned-file.js';
import type { CheckpointStore, Clock } from '../supervisor/ports.js';
import { acquireLock } from '../util/os/lock.js';
import { maskArgv } from '../util/mask.js';
import { missingAncestor, removeEmpty } from '../util/os/empty-dirs.js';
import { thisPlace } from '../util/os/lock-owner.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { type Ended, isOver, type Unless } from './done-already.js';
import { type History, openHistory } from './history.js';
import { isUnderWay } from './inheritance.js';
import { mayGoOnHere } from './move-here.js';
import { nameOf } from './name-of-run.js';
import { openStore } from './open-store.js';
import type { RunPlan } from './run-plan.js';

/** A run that this process alone may change from now on. */
export interface HeldRun {
  readonly run: Run;
  readonly history: History;
  readonly store?: CheckpointStore;
  /** What state.json said last, if there was a run before. */
  readonly last?: StateRecord;
  /** Writes launch.json, and again if the run's folder is deleted. */
  recordLaunch(record: LaunchRecord): Promise<Result<void>>;
  /** Gives everything back. */
  release(): Promise<void>;
}

/** A run that has ended and is left as it is. */
export interface LeftAlone {
  readonly run: Run;
  readonly ended: Ended;
}

/**
 * Opens or makes the run that a plan names and takes its locks. The worker of the attempt that its journal says is
 * under way will be adopted; while anything else of the run lives it is refused. When it refuses, what it made is gone
 * again.
 * @param unless which end of the run means that nothing is to be done; the journal decides, as state.json may be older
 */
export async function takeUp(
  plan: RunPlan,
  clock: Clock,
  notice: (text: string) => void,
  unless?: Unless,
): Promise<Result<HeldRun | LeftAlone>> {
  const undo: (() => Promise<void>)[] = [];
  const release = async (): Promise<void> => {
    for (let step = undo.pop(); step; step = undo.pop()) {
      await step().catch((error: unknown) => notice(`not everything could be given back: ${String(error)}`));
    }
  };
  const refused = async <T extends { readonly ok: false }>(problem: T): Promise<T> => {
    await release();
    return problem;
  };

  const name = await nameOf(plan);
  if (!name.ok) return name;
  const dir = runDirOf(plan.stateDir, name.value);
  const existing = await openRun(dir);
  if (!existing.ok) return existing;
  if (!existing.value) {
    const command = resolveCommand(plan.argv[0], process.env, plan.cwd);
    if (!command.ok) return command;
  }
  const firstMade = await missingAncestor(plan.stateDir);
  const made = existing.value ? undefined : await createRun(plan.stateDir, name.value, clock.now());
  // another may have made it in the same instant
  const opened = made?.ok === false && made.error.code === 'EEXIST' ? await openRun(dir) : (made ?? existing);
  if (!opened.ok) return opened;
  if (!opened.value) return withoutIdentity(dir);
  const run = opened.value;

  // what was asked of an earlier supervisor; whoever sees that the run is ours asks later
  const asked = await listRequests(run.dir);
  if (!asked.ok) return asked;
  const lock = await acquireLock({
    kind: 'run',
    run: run.name,
    dir: run.dir,
    keepIn: run.dir,
    onTrouble: notice,
  });
  if (!lock.ok) return refused(lock);
  undo.push(() => lock.value.release());
  const cleared = await clearRequests(run.dir, asked.value);
  if (!cleared.ok) return refused(cleared);
  let begun = made?.ok !== true;
  undo.push(async () => {
    if (begun) return;
    // new, ours alone, and nothing has happened in it; of the folders above it goes what is empty
    await fs.rm(run.dir, { recursive: true, force: true });
    await removeEmpty([path.dirname(run.dir), checkpointRegistryOf(plan.stateDir), plan.stateDir], firstMade);
  });
  const last = await takeOverState<StateRecord>(run.paths.state);
  if (!last.ok) return refused(last);
  if (last.value.setAside !== undefined) {
    notice(
      `state.json was damaged; it is kept as ${path.basename(last.value.setAside)} and made anew from the journal`,
    );
  }
  const away = await mayGoOnHere(run, last.value.state);
  if (!away.ok) return refused(away);
  if (away.value !== undefined) notice(away.value);
  let launch: LaunchRecord | undefined;
  const recordLaunch = (record: LaunchRecord): Promise<Result<void>> => {
    launch = record;
    return writeLaunch(run.paths.launch, record);
  };
  let unmade: string | undefined;
  const history = await openHistory(run.paths.journal, last.value.state, {
    async onDeleted() {
      const remade = await remakeRun(run, () => lock.value.retake());
      const written = remade.ok && launch ? await recordLaunch(launch) : remade;
      const text = written.ok
        ? `${run.dir} was deleted under the run: what trainguard keeps there is made anew, its logs are lost`
        : `${run.dir} was deleted under the run and could not be made anew: ${written.error.message}`;
      // it is tried again every second, and said once
      if (written.ok || text !== unmade) notice(text);
      unmade = written.ok ? undefined : text;
      return written;
    },
  });
  if (!history.ok) return refused(history);
  undo.push(() => history.value.close());
  if (history.value.restored !== undefined) notice(history.value.restored);
  const stranger = await livingStranger(run, history.value.state);
  if (stranger !== undefined) {
    return refused(
      fail(
        `a worker of run ${run.name} that its journal knows nothing of is alive: pid ${stranger}; ` +
          `wait until it is done, or end it with "kill ${stranger}", then run again`,
        exitStatus.busy,
      ),
    );
  }
  const { state } = history.value;
  if (unless && state.name === 'ended' && isOver(state, unless)) {
    const { state: known } = last.value;
    if (known?.journal !== history.value.last) {
      const record = endRecord(plan, run, clock, known, state, history.value.last);
      const told = await writeVersioned(run.paths.state, record);
      if (!told.ok) return refused(told);
    }
    await release();
    return ok({ run, ended: state });
  }
  if (history.value.state.name === 'idle' && (await attemptDirs(run.dir)).length > 0) {
    return refused(
      fail(
        `the journal ${run.paths.journal} is missing or holds nothing that can be read, though the run has made attempts; ` +
          `nothing was changed, move ${run.dir} away to start the run anew (its checkpoints stay as they are)`,
        exitStatus.internal,
      ),
    );
  }
  if (existing.value && !history.value.state.ledger.timing.everProgressed) {
    const command = resolveCommand(plan.argv[0], process.env, plan.cwd);
    if (!command.ok) return refused(command);
  }
  const store = await openStore(plan, run, clock, notice);
  if (!store.ok) return refused(store);
  if (store.value) {
    const { store: checkpoints, lock: held } = store.value;
    undo.push(async () => {
      await checkpoints.close();
      await held?.release();
    });
    const finished = await checkpoints.recover();
    if (!finished.ok) return refused(finished);
    for (const text of finished.value) notice(text);
  }
  begun = true;
  return ok({
    run,
    history: history.value,
    ...(store.value && { store: store.value.store }),
    ...(last.value.state && { last: last.value.state }),
    recordLaunch,
    release,
  });
}

/** The pid of what lives of the run and is not of the attempt that the journal names, which will be adopted. */
async function livingStranger(run: Run, state: State): Promise<number | undefined> {
  const living = await findLivingWorker(run.dir);
  if (!living) return undefined;
  const adopted = isUnderWay(state) && living.attemptDir === attemptDirOf(run.dir, state.ledger.attempt);
  return adopted ? undefined : living.pid;
}

/** What state.json would say had the supervisor that ended the run lived to write it. */
const endRecord = (
  plan: RunPlan,
  run: Run,
  clock: Clock,
  last: StateRecord | undefined,
  state: Ended,
  journal: number,
): StateRecord => ({
  settings: { command: maskArgv(plan.argv), engine: 'local', maxRetries: plan.policy.maxRetries },
  ...last,
  ...{ run: run.name, pid: process.pid, ...thisPlace() },
  ...{ at: clock.now(), mono: clock.mono(), state, journal },
});
