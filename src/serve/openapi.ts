import { z } from '../config/values.js';
import { type AppLimits, type Documented, type Endpoint, mostBytes } from './endpoint.js';
import { parametersOf } from './parameters.js';
import { type ProblemStatus, problemTitles, problemType } from './problem.js';
import { Checkpoint, named, ProblemSchema } from './schemas.js';

type Json = Readonly<Record<string, unknown>>;

const description = `The recovery manager of trainguard for workers anywhere. Every request bears
\`Authorization: Bearer TOKEN\`, with the content of the token file that \`trainguard serve\` named. Every error is a
problem (RFC 9457) whose \`detail\` is one sentence with the way out.

HEAD is answered as GET is, without the body; OPTIONS with 204 and \`Allow\`; other methods with 405 and \`Allow\`; other
paths with 404. Parameters and, but for heartbeats, fields that are not in this document are refused with 400.`;

/** Makes the OpenAPI 3.1 document of a table of endpoints. */
export function openApi(endpoints: readonly Endpoint[], version: string, limits: AppLimits): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const endpoint of endpoints) {
    (paths[endpoint.path] ??= {})[endpoint.method.toLowerCase()] = operation(endpoint, limits);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'trainguard serve', version, description },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: namedSchemas(),
    },
  };
}

function operation(endpoint: Endpoint, limits: AppLimits): Json {
  const { id, summary, description, body, upload } = endpoint;
  const answers = Object.entries(endpoint.answers).map(([status, one]) => [status, answer(one, endpoint)]);
  const problems = Object.entries(problemsOf(endpoint, limits)).map(([status, text]) => [
    status,
    answer({ description: text, schema: ProblemSchema, contentType: problemType }, endpoint),
  ]);
  const schema = upload ? Checkpoint : body;
  return {
    operationId: id,
    summary,
    ...(description !== undefined && { description }),
    parameters: parametersIn(endpoint),
    ...(schema && {
      requestBody: {
        required: upload ?? endpoint.bodyRequired ?? false,
        content: { 'application/json': { schema: reference(schema) } },
      },
    }),
    responses: Object.fromEntries([...answers, ...problems]),
  };
}

function parametersIn(endpoint: Endpoint): Json[] {
  return Object.entries(parametersOf(endpoint)).flatMap(([place, { shape }]) =>
    Object.entries(shape as Readonly<Record<string, z.ZodType>>).map(([name, type]) => {
      const { $schema: _, description, ...schema } = z.toJSONSchema(type, { io: 'output' });
      const required = place === 'path' || !type.safeParse(undefined).success;
      return { name, in: place, required, ...(description !== undefined && { description }), schema };
    }),
  );
}

/** The errors that an endpoint of this form may answer with, and what they mean. */
function problemsOf(endpoint: Endpoint, limits: AppLimits): Readonly<Partial<Record<ProblemStatus, string>>> {
  const takesBody = endpoint.body !== undefined || endpoint.upload === true;
  const most = takesBody ? mostBytes(endpoint, limits) : Math.max(limits.bodyBytes, limits.checkpointBytes);
  return {
    400: 'Something in the request is wrong or unknown; the detail names it.',
    401: 'The token is missing or wrong.',
    403: 'The Host or the Origin is not this server.',
    408: 'The request took too long to come.',
    410: 'The address bears an attempt of a run that is over (`run --serve`); the worker is to stop.',
    413: `The body is larger than ${most} bytes.`,
    ...(takesBody && { 415: 'The body is not JSON by its type.' }),
    ...(endpoint.once && { 422: 'The Idempotency-Key was used for another body.' }),
    431: 'The request has more headers than are taken.',
    500: problemTitles[500],
    503: 'Too much at once, or the server is closing; try again.',
    ...(endpoint.method !== 'GET' && { 507: "It could not be stored; see to the server's disk." }),
    ...endpoint.problems,
  };
}

function answer(one: Documented, { once }: Endpoint): Json {
  const { description, schema, contentType = 'application/json', headers } = one;
  const replayed =
    'Stands here, with `true`, where the answer is that of an earlier request with the same key.';
  const all = {
    ...headers,
    ...(once && contentType !== problemType && { 'idempotency-replayed': replayed }),
  };
  const described = Object.entries(all).map(([name, text]) => [
    name,
    { description: text, schema: { type: 'string' } },
  ]);
  const content = { [contentType]: schema ? { schema: reference(schema) } : {} };
  return {
    description,
    ...(described.length > 0 && { headers: Object.fromEntries(described) as Json }),
    ...((schema ?? one.contentType) !== undefined && { content }),
  };
}

const place = (id: string): string => `#/components/schemas/${id}`;

function reference(schema: z.ZodType): Json {
  const entry = named.get(schema);
  if (!entry) throw new TypeError('a body or an answer has a schema without a name');
  return { $ref: place(entry.id) };
}

function namedSchemas(): Json {
  const { schemas } = z.toJSONSchema(named, { io: 'input', uri: place });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema]),
  );
}
