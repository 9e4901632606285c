import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { ok, type Result } from '../util/result.js';
import type { Answer } from './answer.js';
import { type AppLimits, type Endpoint, mostBytes } from './endpoint.js';
import { check } from './check.js';
import { problem, refuse } from './problem.js';
import { Upload } from './upload.js';

/** What came with a request. */
export interface Taken {
  readonly body: unknown;
  /** Unread yet. */
  readonly upload: Upload;
  /** SHA-256 of its bytes, hex; what was not read is read for it. */
  readonly digest: () => string | Promise<string>;
}

/**
 * Reads the body that an endpoint takes, or makes ready to read it where that is for the handler to do. A body is
 * counted while it is read, whatever its Content-Length says.
 */
export async function takeBody(
  endpoint: Endpoint,
  request: Request,
  limits: AppLimits,
): Promise<Result<Taken, Answer>> {
  const { headers } = request;
  if (endpoint.upload) {
    const refused = wrongType(headers) ?? tooLong(headers, limits.checkpointBytes);
    if (refused) return refuse(refused);
    const upload = new Upload(request.body, limits.checkpointBytes);
    return ok({ body: undefined, upload, digest: () => upload.digest() });
  }
  if (!endpoint.body) return ok({ body: undefined, upload: Upload.none, digest: () => digestOf(nothing) });
  const read = await readBody(request, mostBytes(endpoint, limits));
  if (!read.ok) return read;
  const bytes = read.value;
  const value = parse(endpoint, headers, bytes);
  if (!value.ok) return value;
  const checked = check(endpoint.body, value.value, 'the body');
  if ('wrong' in checked) return refuse(problem(400, checked.wrong));
  return ok({ body: checked.value, upload: Upload.none, digest: () => digestOf(bytes) });
}

function parse(endpoint: Endpoint, headers: Headers, bytes: Uint8Array): Result<unknown, Answer> {
  const named = headers.has('content-type');
  const refused = named || bytes.length > 0 ? wrongType(headers) : undefined;
  if (refused) return refuse(refused);
  if (bytes.length > 0) return parseJson(bytes);
  return endpoint.bodyRequired ? refuse(problem(400, 'The body is empty; send a JSON object.')) : ok({});
}

const json = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

function wrongType(headers: Headers): Answer | undefined {
  const type = headers.get('content-type');
  if (type === null || !json.test(type)) {
    const named = type === null ? 'not named' : JSON.stringify(type.slice(0, 80));
    return problem(415, `The body's type is ${named}; send JSON with "Content-Type: application/json".`);
  }
  const coding = headers.get('content-encoding');
  if (coding === null || coding.toLowerCase() === 'identity') return undefined;
  return problem(415, `The body's coding is ${JSON.stringify(coding.slice(0, 40))}; send it as it is.`);
}

async function readBody(request: Request, maxBytes: number): Promise<Result<Uint8Array, Answer>> {
  const refused = tooLong(request.headers, maxBytes);
  if (refused) return refuse(refused);
  try {
    // HTTP's own framing holds a body to the length that it names: read at one go, it costs half
    const bytes = request.headers.has('content-length')
      ? new Uint8Array(await request.arrayBuffer())
      : await gather(request, maxBytes);
    return bytes && bytes.length <= maxBytes ? ok(bytes) : refuse(tooLarge(maxBytes));
  } catch {
    return refuse(cutShort); // whatever the stream's error, it says that nobody is there any more
  }
}

async function gather(request: Request, maxBytes: number): Promise<Uint8Array | undefined> {
  const body: AsyncIterable<Uint8Array> | null = request.body;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @returns the value; 400 where it is not JSON */
function parseJson(bytes: Uint8Array): Result<unknown, Answer> {
  if (!isUtf8(bytes)) return refuse(problem(400, 'The body is not UTF-8; send JSON in UTF-8.'));
  try {
    return ok(JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()));
  } catch (error) {
    // V8 quotes what it met, as much as it likes of it
    const reason = error instanceof Error ? error.message.slice(0, 200) : 'it cannot be read';
    return refuse(problem(400, `The body is not JSON (${reason}); send one JSON value.`));
  }
}

export const cutShort = problem(400, 'The body ended before it was complete; send the request again.');

const tooLong = (headers: Headers, maxBytes: number): Answer | undefined =>
  Number(headers.get('content-length') ?? 0) > maxBytes ? tooLarge(maxBytes) : undefined;

const tooLarge = (maxBytes: number): Answer =>
  problem(413, `The body is larger than ${maxBytes} bytes, which is the most that is taken.`);

const nothing = new Uint8Array();
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
