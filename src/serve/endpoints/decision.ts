import { defaults } from '../../config/defaults.js';
import { decideRecovery } from '../../recovery/decide.js';
import { endpoint } from '../endpoint.js';
import { Decision, DecisionQuestion } from '../schemas.js';

export const decision = endpoint({
  method: 'POST',
  path: '/v1/recovery/decision',
  id: 'decideRecovery',
  summary: 'What is to be done about an error, and why',
  description: 'Changes nothing. What is left out is as in the configuration of `trainguard run`.',
  body: DecisionQuestion,
  bodyRequired: true,
  answers: { 200: { description: 'The decision.', schema: Decision } },
  handle({ random }, { body }) {
    const {
      history = [],
      maxRetries = defaults.maxRetries,
      rollbackEnabled = defaults.rollbackEnabled,
    } = body;
    const { error, step, rules, backoff = {} } = body;
    const ms = (seconds: number | undefined, otherwise: number): number =>
      seconds === undefined ? otherwise : seconds * 1000;
    const answer = decideRecovery({
      error,
      history,
      maxRetries,
      rollbackEnabled,
      backoff: {
        initialMs: ms(backoff.initial, defaults.backoff.initialMs),
        factor: backoff.factor ?? defaults.backoff.factor,
        maxMs: ms(backoff.max, defaults.backoff.maxMs),
        jitter: backoff.jitter ?? defaults.backoff.jitter,
      },
      jitter: random(),
      ...(step !== undefined && { step }),
      ...(rules && { rules }),
    });
    return { status: 200, body: answer };
  },
});
