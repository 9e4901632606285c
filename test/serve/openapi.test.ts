import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endpoints } from '../../src/serve/endpoints/table.js';
import { openApp } from './app-support.js';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters: readonly {
    name: string;
    in: string;
    required: boolean;
    schema: Record<string, unknown>;
  }[];
  readonly requestBody?: { required: boolean; content: Record<string, { schema: { $ref: string } }> };
  readonly responses: Record<
    string,
    { description: string; content?: Record<string, { schema?: { $ref: string } }> }
  >;
}

interface Document {
  readonly openapi: string;
  readonly info: { version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { schemas: Record<string, Record<string, unknown>> };
}

const open = async (t: Parameters<typeof openApp>[0]): Promise<Document> => {
  const { ask } = await openApp(t);
  return (await ask('GET', '/openapi.json')).body as Document;
};

test('the document holds what the table holds, and no more', async (t) => {
  const { openapi, info, paths } = await open(t);
  assert.deepEqual([openapi, info.version], ['3.1.0', '1.2.3']);
  const told = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`,
    ),
  );
  assert.deepEqual(told.sort(), endpoints.map(({ method, path, id }) => `${method} ${path} ${id}`).sort());
  const ids = endpoints.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

test('every reference of the document leads somewhere, and every schema is used', async (t) => {
  const document = await open(t);
  const text = JSON.stringify(document);
  const used = new Set([...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, place]) => place ?? ''));
  const there = Object.keys(document.components.schemas).map((id) => `#/components/schemas/${id}`);
  assert.deepEqual([...used].sort(), there.sort());
  assert.doesNotMatch(text, /"\$(schema|id)"/);
});

test('every operation tells its errors, each a problem', async (t) => {
  const { paths } = await open(t);
  for (const methods of Object.values(paths)) {
    for (const { operationId, parameters, requestBody, responses } of Object.values(methods)) {
      const statuses = Object.keys(responses);
      const takesKey = parameters.some(({ name }) => name === 'idempotency-key');
      const expected = ['400', '401', '403', '408', '410', '413', '431', '500', '503']
        .concat(requestBody ? ['415'] : [])
        .concat(takesKey ? ['422'] : []);
      for (const status of expected) assert.ok(statuses.includes(status), `${operationId} ${status}`);
      for (const [status, { content }] of Object.entries(responses)) {
        if (Number(status) < 400) continue;
        assert.deepEqual(content, {
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        });
      }
    }
  }
});

test('a worker is told by its six fields; ids and numbers are bounded', async (t) => {
  const { components, paths } = await open(t);
  const { properties, required } = components.schemas['Worker'] as { properties: object; required: string[] };
  const fields = ['workerId', 'status', 'lastCheckpoint', 'failureCount', 'lastHeartbeat', 'currentBatch'];
  assert.deepEqual(Object.keys(properties), fields);
  assert.deepEqual(required, fields);
  const list = paths['/v1/workers']?.['get']?.parameters ?? [];
  const limit = list.find(({ name }) => name === 'limit')?.schema;
  assert.deepEqual([limit?.['type'], limit?.['minimum'], limit?.['maximum']], ['integer', 1, 10_000]);
  const [id] = paths['/v1/workers/{workerId}']?.['get']?.parameters ?? [];
  assert.deepEqual([id?.in, id?.required], ['path', true]);
  assert.equal(id?.schema['pattern'], '^[A-Za-z0-9_][A-Za-z0-9._:@-]{0,127}$');
});
