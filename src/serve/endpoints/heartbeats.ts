import type { Beat, BeatAnswer } from '../../recovery/types.js';
import { type Context, endpoint } from '../endpoint.js';
import { Heartbeat, HeartbeatAnswer, HeartbeatAnswers, Heartbeats, workerId } from '../schemas.js';

export const heartbeats = [
  endpoint({
    method: 'POST',
    path: '/v1/workers/{workerId}/heartbeat',
    id: 'heartbeat',
    summary: 'A worker is alive; the answer says whether it is to go on',
    description: 'Repeating one does no harm: it takes no Idempotency-Key.',
    parameters: { workerId },
    body: Heartbeat,
    answers: { 200: { description: 'Whether to go on.', schema: HeartbeatAnswer } },
    async handle(context, { path, body }) {
      const answers = await take(context, [{ ...body, workerId: path.workerId }]);
      return { status: 200, body: answers[0] };
    },
  }),
  endpoint({
    method: 'POST',
    path: '/v1/heartbeats',
    id: 'heartbeats',
    summary: 'Heartbeats of many workers at once',
    description: 'For whoever beats for others. Repeating them does no harm: they take no Idempotency-Key.',
    body: Heartbeats,
    bodyRequired: true,
    answers: {
      200: { description: 'Whether each is to go on, in the same order.', schema: HeartbeatAnswers },
    },
    async handle(context, { body }) {
      return { status: 200, body: { answers: await take(context, body.heartbeats) } };
    },
  }),
];

type NamedBeat = Beat & { readonly workerId: string };

const take = ({ manager, onBeat }: Context, beats: readonly NamedBeat[]): Promise<BeatAnswer[]> =>
  manager.takeHeartbeats(beats, (answers) => {
    for (const [at, beat] of beats.entries()) {
      const { status = null } = answers[at] ?? {};
      if (status !== null) onBeat?.(beat.workerId, beat);
    }
  });
