import { z } from '../config/values.js';
import { ok, type Result } from '../util/result.js';
import type { Answer } from './answer.js';
import type { Endpoint, Input } from './endpoint.js';
import { check } from './check.js';
import { problem, refuse } from './problem.js';

const keyError = 'must be 1 to 128 visible ASCII characters';
const idempotencyKey = z
  .string()
  .regex(/^[!-~]{1,128}$/, { error: keyError })
  .describe(
    'Repeated with the same key, a request does nothing more and gets the first answer again; with another body, 422.',
  )
  .optional();

/** What an endpoint takes besides its body, each kind as one schema. */
export interface Parameters {
  readonly path: z.ZodObject;
  readonly query: z.ZodObject;
  readonly header: z.ZodObject;
}

const made = new WeakMap<Endpoint, Parameters>();

export function parametersOf(endpoint: Endpoint): Parameters {
  let found = made.get(endpoint);
  if (!found) {
    const { parameters = {}, query = {}, headers = {}, once } = endpoint;
    found = {
      path: z.strictObject(parameters),
      query: z.strictObject(query),
      header: z.strictObject({ ...headers, ...(once && { 'idempotency-key': idempotencyKey }) }),
    };
    made.set(endpoint, found);
  }
  return found;
}

type Values = Pick<Input, 'path' | 'query' | 'headers'> & { readonly key: string | undefined };

/** @returns what the request says in its path, query and headers; 400 where that is not what the endpoint takes */
export function readParameters(
  endpoint: Endpoint,
  request: Request,
  inPath: Readonly<Record<string, string>>,
): Result<Values, Answer> {
  const schemas = parametersOf(endpoint);
  const path = check(schemas.path, inPath, 'the path');
  if ('wrong' in path) return refuse(problem(400, path.wrong));
  const query = readQuery(request.url, schemas.query);
  if ('wrong' in query) return refuse(problem(400, query.wrong));
  const named: Record<string, string> = {};
  for (const name of Object.keys(schemas.header.shape)) {
    const value = request.headers.get(name);
    if (value !== null) named[name] = value;
  }
  const headers = check(schemas.header, named, 'the headers');
  if ('wrong' in headers) return refuse(problem(400, headers.wrong));
  const key = named['idempotency-key'];
  return ok({ path: path.value, query: query.value, headers: headers.value, key });
}

function readQuery(url: string, schema: z.ZodObject): ReturnType<typeof check<z.ZodObject>> {
  const values: Record<string, string> = {};
  if (url.includes('?')) {
    for (const [name, value] of new URL(url).searchParams) {
      const known = Object.keys(schema.shape);
      // what has no name to offer instead, or is no name to a schema
      if (known.length === 0)
        return { wrong: `${name.slice(0, 80)} stands in the query, and this path takes none.` };
      if (name === '__proto__')
        return { wrong: `__proto__ is unknown in the query; known here: ${known.join(', ')}.` };
      if (Object.hasOwn(values, name)) return { wrong: `${name} may stand only once in the query.` };
      values[name] = value;
    }
  }
  return check(schema, values, 'the query');
}
