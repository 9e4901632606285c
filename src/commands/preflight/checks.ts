import { setTimeout as delay } from 'node:timers/promises';
import path from 'node:path';
import type { UserCommand } from '../../config/resolve.js';
import type { HostQuestion } from '../../supervisor/parts.js';
import { maskArgv } from '../../util/mask.js';
import { type ChildEnd, endWords, runChild } from '../children.js';
import { openChildrenLog } from '../children-log.js';
import { hookEnv, hookInput, type RunFacts } from '../hook-context.js';
import { permanentExit, saying } from '../hooks.js';
import type { Lack } from './lack.js';

/** What the user's own checks say: undefined: all passed. */
type Verdict = { readonly lack: Lack } | { readonly never: string } | undefined;

export interface UserChecks {
  ask(question: HostQuestion): Promise<Verdict>;
  /** A new wait begins: what was answered before does not count. */
  reset(): void;
  /** Waits a little for what is under way; its question's signal has ended it. */
  close(): Promise<void>;
}

/** After how long the checks are called again, ms: the first time, and at most; it doubles in between. */
const againAfterMs = { first: 1000, most: 10_000 };
/** How long a check may take before it is said that it is what is waited for, ms. */
const sayAfterMs = 1000;
/** How long the end of a check is waited for once the run is over, ms. */
const closeMs = 3000;
const slow: Verdict = { lack: { about: 'slow check', words: 'the preflight checks to end' } };

/** Calls config `preflight` (docs/hooks.md), one after the other, up to the first that does not pass. */
export function createUserChecks(
  commands: readonly UserCommand[],
  facts: RunFacts,
  notice: (text: string) => void,
): UserChecks {
  const log = openChildrenLog(path.join(facts.runDir, 'preflight.log'));
  const neverCalled = new Set<UserCommand>();
  let underWay: Promise<Verdict> | undefined;
  let last: { readonly waitedMs: number; readonly verdict: Verdict; readonly again: number } | undefined;

  async function callAll({ failure, signal }: HostQuestion): Promise<Verdict> {
    const context = failure ? { attempt: failure.attempt, failure } : {};
    for (const command of commands) {
      const { argv, timeoutMs } = command;
      const end = await runChild({
        ...{ argv, timeoutMs, signal, cwd: facts.cwd },
        env: hookEnv(process.env, 'preflight', facts, context),
        input: hookInput('preflight', facts, Date.now(), context),
      });
      log.add('preflight', argv, end);
      const name = maskArgv(argv).join(' ').slice(0, 80);
      if (isUncallable(end)) {
        if (!neverCalled.has(command)) {
          notice(`the preflight check "${name}" counts as passed, since no waiting helps: ${endWords(end)}`);
        }
        neverCalled.add(command);
        continue;
      }
      const verdict = judge(name, end);
      if (verdict) return verdict;
    }
    return undefined;
  }

  return {
    async ask(question) {
      if (commands.length === 0) return undefined;
      const { waitedMs } = question;
      if (last && waitedMs - last.waitedMs < last.again) return last.verdict;
      underWay ??= callAll(question);
      const verdict = await Promise.race([underWay, delay(sayAfterMs, slow, { ref: false })]);
      if (verdict === slow) return slow;
      underWay = undefined;
      const longer = last ? Math.min(2 * last.again, againAfterMs.most) : againAfterMs.first;
      const again = verdict ? longer : againAfterMs.most;
      last = { waitedMs, verdict, again };
      return verdict;
    },
    reset() {
      last = undefined;
    },
    async close() {
      await Promise.race([underWay, delay(closeMs, undefined, { ref: false })]);
      log.close();
    },
  };
}

/** The system does not take its words: too many of them, or one that is none. */
const isUncallable = (end: ChildEnd): boolean =>
  end.type === 'not-started' && (end.code === 'E2BIG' || end.code === 'ERR_INVALID_ARG_VALUE');

/** Exit 0 passes, 125 means that no waiting helps; everything else may be better later. */
function judge(name: string, end: ChildEnd): Verdict {
  if (end.type === 'exited' && end.code === 0) return undefined;
  if (end.type === 'exited' && end.code === permanentExit) {
    return {
      never: `the preflight check "${name}" says that the failure is permanent (exit ${permanentExit})${saying(end)}`,
    };
  }
  return {
    lack: {
      about: `check ${name}`,
      words: `the preflight check "${name}" to pass (${endWords(end)}${saying(end)})`,
    },
  };
}
