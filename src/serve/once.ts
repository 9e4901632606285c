import type { Answer } from './answer.js';
import type { KeyedRequest } from './answers.js';
import { problem } from './problem.js';
import type { WorkerJournal } from './worker-journal.js';

/**
 * Answers a request once, however often it is sent under its Idempotency-Key. A refusal is not kept: the same request may
 * be tried again. What was done, and only the disk refused, is not done again then (see WorkerJournal).
 * @param hasten called when the same request comes again before this one is answered
 */
export async function answerOnce(
  journal: Pick<WorkerJournal, 'once'>,
  request: KeyedRequest,
  digest: () => string | Promise<string>,
  act: () => Promise<Answer>,
  hasten: () => void,
): Promise<Answer> {
  const work = async (): ReturnType<Parameters<typeof journal.once>[2]> => {
    const answer = await act();
    if (answer.status >= 300) throw new NotKept(answer);
    return { status: answer.status, body: answer.body === undefined ? '' : JSON.stringify(answer.body) };
  };
  try {
    const once = await journal.once(request, digest, work, hasten);
    if (once.type === 'other-body') {
      return problem(422, 'This Idempotency-Key was used for another body; take a new key for each request.');
    }
    const { status, body } = once.answer;
    return {
      status,
      ...(body !== '' && { body: JSON.parse(body) as unknown }),
      ...(once.type === 'replayed' && { headers: { 'idempotency-replayed': 'true' } }),
    };
  } catch (error) {
    if (error instanceof NotKept) return error.answer;
    throw error;
  }
}

/** Takes a refusal past the journal. */
class NotKept extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super('refused');
    this.answer = answer;
  }
}
