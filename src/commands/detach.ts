import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GlobalOptions } from '../cli.js';
import type { Line } from '../report/narrate.js';
import { openFilesBefore } from '../util/os/open-files.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { shellWord } from '../util/text.js';
import { createOutput } from './output.js';
import { refuse } from './refuse.js';
import { tetherFd, type TetherWord, type Underway } from './tether.js';

export type Started =
  | { readonly type: 'underway'; readonly underway: Underway }
  | { readonly type: 'over'; readonly exitCode: number; readonly summary?: unknown };

/**
 * `run --detach`, `resume --detach`: has the same command supervise without the terminal, and answers when the run is
 * under way, refused or over already.
 * @param words what the user typed, the verb first
 */
export async function detach(
  words: readonly string[],
  options: GlobalOptions & { readonly stdin?: true },
): Promise<number> {
  const json = options.json === true;
  if (options.stdin && process.stdin.isTTY) {
    const text = '--stdin would be the terminal, which --detach takes away; leave one of them out';
    return refuse({ message: text, exit: exitStatus.usage }, json);
  }
  const output = createOutput(options);
  const started = await startDetached(words, (lines) => output.say(lines), options.stdin);
  if (!started.ok) return refuse(started.error, json);
  if (started.value.type === 'over') {
    if (json && started.value.summary !== undefined) output.json(started.value.summary);
    return started.value.exitCode;
  }
  const { underway } = started.value;
  const call = (verb: string): string => `trainguard ${verb} ${callArguments(underway.run, options)}`;
  output.say([
    { tone: 'note', text: `run ${underway.run} goes on in the background: supervisor ${underway.pid}` },
    { tone: 'detail', text: `follow it: ${call('attach')}` },
    { tone: 'detail', text: `stop it:   ${call('stop')}` },
  ]);
  if (json) output.json({ type: 'detached', ...underway, attach: call('attach'), stop: call('stop') });
  return exitStatus.done;
}

/** A run's name and the options that find it again, as a person would type them. */
export function callArguments(
  run: string,
  { config, stateDir }: Pick<GlobalOptions, 'config' | 'stateDir'>,
): string {
  const words = [run];
  if (config !== undefined) words.push('--config', config);
  if (stateDir !== undefined) words.push('--state-dir', stateDir);
  return words.map(shellWord).join(' ');
}

/** How long a process whose last descriptor is closed may take to be gone, ms. */
const endingMs = 3000;

/**
 * Starts a supervisor in a session of its own, without a terminal.
 * @param words as they would be typed, the verb first
 * @param onLines told what it says until its run is under way
 * @param stdin whether the training gets our stdin
 */
export async function startDetached(
  words: readonly string[],
  onLines: (lines: readonly Line[]) => void,
  stdin = false,
): Promise<Result<Started>> {
  const [verb = '', ...rest] = words;
  const program = [...process.execArgv, process.argv[1] ?? ''];
  const child = spawn(
    process.execPath,
    [...program, verb, `--detached=${openFilesBefore ?? 'same'}`, ...rest],
    { detached: true, stdio: [stdin ? 'inherit' : 'ignore', 'ignore', 'ignore', 'pipe'] },
  );
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code ?? '?'}`));
  });
  const tether = child.stdio[tetherFd] as Readable;
  tether.on('error', () => undefined); // how it ended is told below
  for await (const line of createInterface({ input: tether })) {
    const word = JSON.parse(line) as TetherWord;
    if (word.type === 'lines') {
      onLines(word.lines);
      continue;
    }
    tether.destroy();
    child.unref();
    return word.type === 'refused' ? { ok: false, error: word.problem } : ok(word);
  }
  // the tether ends with its process, or, if it could not be written to, before
  const how = await Promise.race([ended, sleep(endingMs, undefined, { ref: false })]);
  if (how === undefined) {
    child.unref();
    return fail(
      `the supervisor in the background (pid ${child.pid}) is at work but did not say how far it got; ` +
        'see "trainguard status"',
      exitStatus.internal,
    );
  }
  return fail(
    `the supervisor in the background ended before its run was under way (${how}); ` +
      'run it without --detach to see why',
    exitStatus.internal,
  );
}
