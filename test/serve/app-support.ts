import assert from 'node:assert/strict';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { JsonCheckpoints } from '../../src/recovery/json-checkpoints.js';
import { RecoveryManager } from '../../src/recovery/manager.js';
import { type App, type AppOptions, createApp } from '../../src/serve/app.js';
import type { Endpoint } from '../../src/serve/endpoint.js';
import { endpoints } from '../../src/serve/endpoints/table.js';
import { problemType } from '../../src/serve/problem.js';
import { ProblemSchema } from '../../src/serve/schemas.js';
import { openWorkerJournal } from '../../src/serve/worker-journal.js';
import { tempDir } from '../support/temp-dir.js';

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** undefined: not JSON. */
  readonly body: unknown;
}

interface Sent {
  /** Bytes or text go as they are, the rest as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent without naming its length. */
  readonly chunked?: boolean;
}

export interface Kit {
  readonly app: App;
  readonly manager: RecoveryManager;
  readonly dir: string;
  /** What onBug was told. */
  readonly bugs: string[];
  /** Before the test ends: another may open the same folder then. */
  readonly close: () => Promise<void>;
  /** Asks, and holds the answer against the table of endpoints. */
  readonly ask: (method: string, target: string, sent?: Sent) => Promise<Asked>;
}

/** The app with a real manager, journal and folder. */
export async function openApp(
  t: Pick<TestContext, 'after'>,
  options: Partial<AppOptions> & { dir?: string } = {},
): Promise<Kit> {
  const { dir = tempDir(t), ...others } = options;
  const opened = await openWorkerJournal(dir);
  assert.ok(opened.ok);
  const journal = opened.value;
  const checkpoints = new JsonCheckpoints({ dir: path.join(dir, 'checkpoints'), keep: 3 });
  const manager = new RecoveryManager({}, { log: journal, remembered: journal.remembered, checkpoints });
  const bugs: string[] = [];
  const onBug = (error: unknown, request: string): void => {
    bugs.push(`${request}: ${String(error)}`);
  };
  const app = createApp({ manager, journal, version: '1.2.3', onBug, ...others });
  const close = once(async () => {
    app.endStreams();
    await manager.close();
    await journal.close();
  });
  t.after(close);
  const ask = async (method: string, target: string, sent: Sent = {}): Promise<Asked> => {
    const response = await app.fetch(request(method, target, sent));
    const text = await response.text();
    const json = /json/.test(response.headers.get('content-type') ?? '') && text !== '';
    const asked: Asked = {
      status: response.status,
      headers: response.headers,
      text,
      body: json ? (JSON.parse(text) as unknown) : undefined,
    };
    holdToTable(method, target, asked);
    return asked;
  };
  return { app, manager, dir, bugs, ask, close };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}

export function request(method: string, target: string, { body, headers, chunked }: Sent = {}): Request {
  const url = `http://127.0.0.1:1${target}`;
  if (body === undefined) return new Request(url, { method, ...(headers && { headers }) });
  const bytes =
    body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const all = {
    'content-type': 'application/json',
    ...(!chunked && { 'content-length': String(bytes.length) }),
    ...headers,
  };
  return new Request(url, { method, headers: all, body: new Blob([bytes]).stream(), duplex: 'half' });
}

/** Every answer is one that the table declares, in its form. */
function holdToTable(method: string, target: string, { status, headers, text, body }: Asked): void {
  const type = headers.get('content-type');
  const error = `${method} ${target} → ${status} ${type ?? ''} ${text.slice(0, 300)}`;
  if (status >= 400) {
    assert.equal(type, problemType, error);
    if (method === 'HEAD') return;
    const told = ProblemSchema.parse(body);
    assert.equal(told.status, status, error);
    assert.doesNotMatch(told.detail, /\n|\bat .*:\d+/, error);
    return;
  }
  const line = lineOf(method === 'HEAD' ? 'GET' : method, target);
  const declared = line?.answers[status];
  if (method === 'OPTIONS' && status === 204) return;
  assert.ok(declared, error);
  if (declared.schema) assert.equal(type, declared.contentType ?? 'application/json', error);
  if (declared.schema && method !== 'HEAD') {
    const parsed = declared.schema.safeParse(body);
    assert.ok(parsed.success, `${error}: ${String(parsed.error)}`);
  }
}

export function lineOf(method: string, target: string): Endpoint | undefined {
  const parts = target.split('?')[0]?.split('/') ?? [];
  return endpoints.find((line) => {
    const wanted = line.path.split('/');
    return (
      line.method === method &&
      wanted.length === parts.length &&
      wanted.every((part, at) => part.startsWith('{') || part === parts[at])
    );
  });
}

export const detailOf = ({ body }: Asked): string => ProblemSchema.parse(body).detail;
