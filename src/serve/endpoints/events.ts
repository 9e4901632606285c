import { z } from '../../config/values.js';
import { endpoint } from '../endpoint.js';
import { problem } from '../problem.js';
import { workerId } from '../schemas.js';

export const eventStream = endpoint({
  method: 'GET',
  path: '/v1/events',
  id: 'events',
  summary: 'What happens to the workers, as server-sent events',
  description:
    '`event` is the type of a RecoveryEvent, `data` the event as JSON. A comment comes at least every 15 seconds. With ' +
    'Last-Event-ID it goes on after that one; `event: gap` says that some between were lost, so ask for the workers. ' +
    'A reader that does not keep up is cut off, and every stream ends after an hour: come again.',
  query: { workerId: workerId.describe('Only what happens to this one.').optional() },
  headers: {
    'last-event-id': z.string().describe('The id of the last event that was seen.').optional(),
  },
  answers: { 200: { description: 'Events until the reader goes.', contentType: 'text/event-stream' } },
  handle({ events, limits }, { query, headers, hangUp }) {
    const stream = events.open({
      ...(query.workerId !== undefined && { workerId: query.workerId }),
      ...(headers['last-event-id'] !== undefined && { after: headers['last-event-id'] }),
      cut: hangUp,
    });
    if (stream) {
      const headers = { 'content-type': 'text/event-stream' };
      return { status: 200, headers, stream, close: () => stream.end() };
    }
    const most = `${limits.eventStreams} readers of events are connected, which is as many as may be`;
    return problem(503, `${most}; close one, or try again.`, { 'retry-after': '5' });
  },
});
