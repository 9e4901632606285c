import type { HostAnswer, HostQuestion } from '../../supervisor/parts.js';
import type { UserCommand } from '../../config/resolve.js';
import { lackingMemory, memoryNow } from '../../engines/local/room.js';
import type { RunFacts } from '../hook-context.js';
import { createUserChecks } from './checks.js';
import { lackingDisk } from './disk.js';
import { createGpuCheck } from './gpu.js';
import { createPatience, type Lack } from './lack.js';
import { checkPort, isAddressInUse, meetingPort } from './port.js';

export interface PreflightOptions {
  readonly facts: RunFacts;
  /** The training's command, and the environment that it will have. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly checks: readonly UserCommand[];
  /** The folders that checkpoints go to; a glob may match more of them by the next attempt. */
  readonly checkpointDirs: () => readonly string[];
  readonly notice: (text: string) => void;
}

export interface Preflight {
  /** Asked before an attempt, and every 2 s while it has to wait (docs/hooks.md). */
  checkHost(question: HostQuestion): Promise<HostAnswer>;
  close(): Promise<void>;
}

/** How long memory is waited for after the memory killer struck: how much is enough is our guess, ms. */
const memoryPatienceMs = 5 * 60_000;
/** For so long figures that change do not change the words: each change is a line in the journal, ms. */
const sameWordsMs = 60_000;

/** Looks whether the host is fit for another attempt, and says what has to be waited for. */
export function createPreflight({
  facts,
  argv,
  env,
  checks,
  checkpointDirs,
  notice,
}: PreflightOptions): Preflight {
  const needs = (): Parameters<typeof lackingDisk>[1] => ({
    stateDir: facts.runDir,
    checkpointDirs: checkpointDirs(),
  });
  const gpus = createGpuCheck({ cwd: facts.cwd, env }, notice);
  const userChecks = createUserChecks(checks, facts, notice);
  const patience = createPatience(notice);
  let lastWaitedMs = Infinity;
  let said: { readonly lack: Lack; readonly waitedMs: number } | undefined;
  /** Once the training's port was somebody else's it is looked at before every retry. */
  let portWasHeld = false;

  function beginWait(): void {
    gpus.reset();
    userChecks.reset();
    patience.reset();
    said = undefined;
  }

  function wait(lack: Lack, waitedMs: number): HostAnswer {
    if (said?.lack.about !== lack.about || waitedMs - said.waitedMs >= sameWordsMs) said = { lack, waitedMs };
    return { type: 'wait', for: said.lack.words };
  }

  async function port({ failure }: HostQuestion): Promise<Awaited<ReturnType<typeof checkPort>>> {
    portWasHeld ||= failure !== undefined && isAddressInUse(failure);
    const meeting = portWasHeld && failure ? meetingPort(argv, env, failure) : undefined;
    return meeting ? checkPort(meeting) : { type: 'free' };
  }

  async function beforeRetry(question: HostQuestion): Promise<HostAnswer> {
    const { after, waitedMs } = question;
    const lacking = after === 'host-memory' ? lackingMemory(memoryNow()) : undefined;
    const memory = patience.hold(lacking, waitedMs, memoryPatienceMs);
    if (memory) return wait(memory, waitedMs);
    const gpu = await gpus.ask(question);
    if (gpu) return wait(gpu, waitedMs);
    const verdict = await userChecks.ask(question);
    if (verdict && 'never' in verdict) return { type: 'never', why: verdict.never };
    if (verdict) return wait(verdict.lack, waitedMs);
    // last, since another may take a port that was free
    const meeting = await port(question);
    if (meeting.type === 'held') return wait(meeting.lack, waitedMs);
    if (meeting.type === 'free') return { type: 'ready' };
    notice(meeting.words);
    return { type: 'ready', env: { MASTER_PORT: String(meeting.to) } };
  }

  return {
    async checkHost(question) {
      const { after, waitedMs } = question;
      if (after === undefined || waitedMs < lastWaitedMs) beginWait();
      lastWaitedMs = waitedMs;
      const disk = await lackingDisk(question, needs());
      if (disk) return wait(disk, waitedMs);
      return after === undefined ? { type: 'ready' } : beforeRetry(question);
    },
    close: () => userChecks.close(),
  };
}
