import { errorText } from '../util/os/durable.js';
import type { Answer, Connection } from './answer.js';
import { cutShort, takeBody } from './body.js';
import { isSystemError } from './bug-report.js';
import type { Context, Endpoint } from './endpoint.js';
import { answerOnce } from './once.js';
import { readParameters } from './parameters.js';
import { problem } from './problem.js';

/** A request that found its endpoint. */
export interface Call {
  readonly request: Request;
  /** Values in the path, decoded. */
  readonly path: Readonly<Record<string, string>>;
  readonly connection: Connection | undefined;
}

/**
 * Checks a request against its line of the table and lets the handler work.
 * @throws what is a bug, and what the system refused to who only asks
 */
export async function respond(
  endpoint: Endpoint,
  context: Context,
  { request, path, connection }: Call,
): Promise<Answer> {
  // its body may end in another
  const era = context.era();
  const parameters = readParameters(endpoint, request, path);
  if (!parameters.ok) return parameters.error;
  const taken = await takeBody(endpoint, request, context.limits);
  if (!taken.ok) return taken.error;
  const { key, ...values } = parameters.value;
  const { body, upload, digest } = taken.value;
  const hangUp = (): void => void connection?.destroy();
  const act = async (): Promise<Answer> => {
    const answer = await endpoint.handle(context, { ...values, body, upload, hangUp });
    return upload.broken ? cutShort : answer;
  };
  try {
    if (key === undefined) return await act();
    const target = endpoint.path.replace('{workerId}', () => String(values.path['workerId']));
    const keyed = { key, method: endpoint.method, path: era + target };
    // whoever sends the same again has given up on a body that is still on its way
    const giveWay = (): void => {
      if (upload.isComing) hangUp();
    };
    return await answerOnce(context.journal, keyed, digest, act, giveWay);
  } catch (error) {
    if (upload.broken) return cutShort;
    if (endpoint.method === 'GET' || !isSystemError(error)) throw error;
    const text = `It could not be stored (${errorText(error)}); see to the server's disk, then send it again.`;
    return problem(507, text);
  }
}
