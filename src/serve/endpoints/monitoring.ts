import { endpoint } from '../endpoint.js';
import { Health, Monitoring } from '../schemas.js';

export const monitoring = [
  endpoint({
    method: 'GET',
    path: '/v1/monitoring',
    id: 'getMonitoring',
    summary: 'Whether silent workers are marked failed',
    answers: { 200: { description: 'On or off.', schema: Monitoring } },
    handle({ manager }) {
      return { status: 200, body: { monitoring: manager.monitoring } };
    },
  }),
  endpoint({
    method: 'PUT',
    path: '/v1/monitoring',
    id: 'setMonitoring',
    summary: 'Starts or stops the watch over all workers',
    description:
      'Started again, it gives every worker its whole timeout. Stopped, it tells each that beats to stop.',
    body: Monitoring,
    bodyRequired: true,
    once: true,
    answers: { 200: { description: 'On or off.', schema: Monitoring } },
    async handle({ manager }, { body }) {
      await (body.monitoring ? manager.startMonitoring() : manager.stopMonitoring());
      return { status: 200, body: { monitoring: body.monitoring } };
    },
  }),
  endpoint({
    method: 'GET',
    path: '/v1/health',
    id: 'health',
    summary: 'That the server is there, and how many workers it knows',
    answers: { 200: { description: 'It is there.', schema: Health } },
    handle({ manager, version }) {
      const workers = manager.getWorkers();
      const failed = workers.filter(({ status }) => status === 'failed').length;
      return {
        status: 200,
        body: { version, workers: workers.length, failed, monitoring: manager.monitoring },
      };
    },
  }),
];
