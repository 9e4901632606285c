import type { Problem } from '../util/result.js';

/** Says what is wrong, in one sentence, and answers the exit status. */
export function refuse(problem: Problem, json = false): number {
  process.stderr.write(`trainguard: ${problem.message}\n`);
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ type: 'error', message: problem.message, exit: problem.exit })}\n`,
    );
  }
  return problem.exit;
}
