import { UnknownWorkerError } from '../../recovery/arguments.js';
import type { WorkerState } from '../../recovery/types.js';
import type { Answer } from '../answer.js';
import { endpoint } from '../endpoint.js';
import { problem } from '../problem.js';
import { Failure, listLimit, listStatus, Registration, Worker, workerId, WorkerList } from '../schemas.js';

const path = '/v1/workers/{workerId}';
const parameters = { workerId };

const unknownWorker = (id: string): Answer =>
  problem(404, `There is no worker ${id}; register it with PUT /v1/workers/${id}.`, {
    'trainguard-worker': 'none',
  });

// a worker must be able to tell it from the 404 of a proxy, or of a wrong path
const unknown = { 404: 'There is no such worker: `Trainguard-Worker` is `none`.' };

export const workers = [
  endpoint({
    method: 'PUT',
    path,
    id: 'registerWorker',
    summary: 'Registers a worker, or says that it came back',
    parameters,
    body: Registration,
    once: true,
    answers: {
      200: { description: 'It was known: its failures still count.', schema: Worker },
      201: { description: 'It is new.', schema: Worker },
    },
    problems: { 422: 'The timeout is below the interval; or the Idempotency-Key was used for another body.' },
    async handle({ manager }, { path, body }) {
      const { heartbeatInterval = 0, heartbeatTimeout = Infinity } = body;
      if (heartbeatTimeout < heartbeatInterval) {
        return problem(
          422,
          `heartbeatTimeout must be at least heartbeatInterval (${heartbeatInterval}), not ${heartbeatTimeout}.`,
        );
      }
      const known = await manager.getWorker(path.workerId);
      const { initialState, ...limits } = body;
      const worker = await manager.registerWorker(path.workerId, initialState, limits);
      return { status: known ? 200 : 201, body: worker };
    },
  }),
  endpoint({
    method: 'GET',
    path: '/v1/workers',
    id: 'listWorkers',
    summary: 'Workers, ordered by id',
    query: {
      status: listStatus.describe('Only those.').optional(),
      limit: listLimit.describe('How many at most; 1000 unless given.').optional(),
      after: workerId.describe('Only those that follow this id: `next` of the last answer.').optional(),
    },
    answers: { 200: { description: 'The workers.', schema: WorkerList } },
    handle({ manager }, { query: { status, limit = 1000, after = '' } }) {
      const found = manager
        .getWorkers()
        .filter((worker) => worker.workerId > after && (status === undefined || worker.status === status))
        .sort(byId);
      const shown = found.slice(0, limit);
      const next = found.length > limit ? (shown.at(-1)?.workerId ?? null) : null;
      return { status: 200, body: { workers: shown, next } };
    },
  }),
  endpoint({
    method: 'GET',
    path,
    id: 'getWorker',
    summary: 'One worker',
    parameters,
    answers: { 200: { description: 'The worker.', schema: Worker } },
    problems: unknown,
    async handle({ manager }, { path }) {
      const worker = await manager.getWorker(path.workerId);
      return worker ? { status: 200, body: worker } : unknownWorker(path.workerId);
    },
  }),
  endpoint({
    method: 'DELETE',
    path,
    id: 'unregisterWorker',
    summary: 'A worker ended as it should: it is watched no longer, its checkpoints stay',
    parameters,
    once: true,
    answers: { 204: { description: 'Done.' } },
    problems: unknown,
    async handle({ manager }, { path }) {
      const was = await manager.unregisterWorker(path.workerId);
      return was ? { status: 204 } : unknownWorker(path.workerId);
    },
  }),
  endpoint({
    method: 'POST',
    path: `${path}/failures`,
    id: 'markWorkerFailed',
    summary: 'Marks a worker failed, and adds one to its failures',
    parameters,
    body: Failure,
    once: true,
    answers: { 200: { description: 'The worker as it is now.', schema: Worker } },
    problems: unknown,
    async handle({ manager }, { path, body }) {
      try {
        return { status: 200, body: await manager.markWorkerFailed(path.workerId, body.reason) };
      } catch (error) {
        if (error instanceof UnknownWorkerError) return unknownWorker(path.workerId);
        throw error;
      }
    },
  }),
];

/** By code units, as `after` compares. */
const byId = (a: WorkerState, b: WorkerState): number => (a.workerId < b.workerId ? -1 : 1);
