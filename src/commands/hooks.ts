import path from 'node:path';
import type { UserCommand } from '../config/resolve.js';
import type { HookName, Parts } from '../supervisor/parts.js';
import { type ChildEnd, endWords, lastWords, runChild } from './children.js';
import { openChildrenLog } from './children-log.js';
import { hookEnv, hookInput, type RunFacts } from './hook-context.js';

/** With this exit status a hook or a preflight check says that the failure is permanent. */
export const permanentExit = 125;

export interface Hooks {
  run: Parts['runHook'];
  close(): void;
}

/** Calls the user's hooks (docs/hooks.md). One that fails is said, and changes nothing. */
export function createHooks(
  commands: Readonly<Partial<Record<HookName, UserCommand>>>,
  facts: RunFacts,
  notice: (text: string) => void,
): Hooks {
  const log = openChildrenLog(path.join(facts.runDir, 'hooks.log'));
  const notStarted = new Set<HookName>();
  return {
    async run(name, context, signal) {
      const command = commands[name];
      if (!command) return undefined;
      const end = await runChild({
        ...command,
        cwd: facts.cwd,
        env: hookEnv(process.env, name, facts, context),
        input: hookInput(name, facts, Date.now(), context),
        signal,
      });
      log.add(name, command.argv, end);
      if (end.type === 'exited' && end.code === permanentExit) {
        return `hook ${name} says that the failure is permanent (exit ${permanentExit})${saying(end)}`;
      }
      const isNews = end.type !== 'not-started' || !notStarted.has(name);
      if (end.type === 'not-started') notStarted.add(name);
      const isWell =
        end.type === 'exited' ? end.code === 0 : end.type === 'aborted' && end.left === undefined;
      if (!isWell && isNews) {
        notice(
          `hook ${name} failed and changes nothing: ${endWords(end)}${saying(end)} (its output: hooks.log)`,
        );
      }
      return undefined;
    },
    close: () => log.close(),
  };
}

/** `: no space left`, or nothing. */
export function saying(end: ChildEnd): string {
  const words = lastWords(end);
  return words === undefined ? '' : `: ${words}`;
}
