import type { Endpoint } from '../endpoint.js';
import { checkpoints } from './checkpoints.js';
import { decision } from './decision.js';
import { documentEndpoint } from './document.js';
import { eventStream } from './events.js';
import { heartbeats } from './heartbeats.js';
import { monitoring } from './monitoring.js';
import { workers } from './workers.js';

/** Everything that can be asked of the server. */
export const endpoints: readonly Endpoint[] = [
  ...workers,
  ...heartbeats,
  ...checkpoints,
  ...monitoring,
  eventStream,
  decision,
  documentEndpoint,
];
