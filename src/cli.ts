import { statusArguments } from './commands/status-arguments.js';
import { exitStatus } from './util/result.js';

/** Options that every verb takes. */
export interface GlobalOptions {
  readonly json?: true;
  readonly config?: string;
  readonly stateDir?: string;
  readonly quiet?: true;
  /** False with --no-color. */
  readonly color: boolean;
}

/**
 * Runs the command line. `status` is asked every few seconds by scripts and shell prompts, so what it is usually called
 * with is read without the tree of verbs, which takes longer to load than all that `status` does.
 * @param argv as process.argv: node, script, then what the user typed
 * @returns the exit status (DESIGN section 9)
 */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const asked = statusArguments(argv.slice(2));
    if (asked) {
      const { status } = await import('./commands/status.js');
      return await status(asked.name, asked.options);
    }
    const { runProgram } = await import('./program.js');
    return await runProgram(argv);
  } catch (error) {
    process.stderr.write(
      `trainguard: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return exitStatus.internal;
  }
}
