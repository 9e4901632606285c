import type { Problem } from '../util/result.js';

/** Says what is wrong, in one sentence, and answers the exit status. */
export function refuse(problem: Problem, json = false): number {
  complain([problem]);
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ type: 'error', message: problem.message, exit: problem.exit })}\n`,
    );
  }
  return problem.exit;
}

/** Says on stderr what is wrong with parts of what was asked for; the rest is answered. */
export function complain(problems: readonly Problem[]): void {
  for (const { message } of problems) process.stderr.write(`trainguard: ${message}\n`);
}
