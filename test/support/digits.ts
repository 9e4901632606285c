import path from 'node:path';
import type { TestEnd } from './cleanup.js';
import { pythonPath } from './python.js';
import { fixture } from './root.js';
import { runProgram, type CliOptions, type Running } from './run-cli.js';

export const digitsScript = fixture('trainers', 'digits.py');

/** Starts the digits training by itself, unsupervised; its checkpoints go to `ckpts` in `cwd`. */
export const runDigits = (
  t: TestEnd,
  args: readonly string[],
  options: CliOptions & { readonly cwd: string },
): Running =>
  runProgram(t, [pythonPath(), digitsScript, '--checkpoint-dir', path.join(options.cwd, 'ckpts'), ...args], {
    ...options,
    env: { PYTHONUNBUFFERED: '1', ...options.env },
  });

/**
 * The sha256 of the final weights, from the training's last line; throws if it did not get there. An attempt that was
 * found to be bad only after its end has such a line too: the last one counts.
 */
export function digestOf(stdout: string): string {
  const digest = [...stdout.matchAll(/^final step=\d+ .*digest=([0-9a-f]{64})$/gm)].at(-1)?.[1];
  if (digest === undefined) throw new Error(`the training did not finish:\n${stdout.slice(-2000)}`);
  return digest;
}
