import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { errorCode } from '../util/os/durable.js';
import type { Refusal } from './guard.js';
import { type ProblemDetails, problemTitles, problemType } from './problem.js';

/** Answers without having looked at the body, and ends the connection. */
export function turnAway(outgoing: ServerResponse, refusal: Refusal): void {
  const body = problemOf(refusal);
  outgoing.writeHead(refusal.status, { ...refusal.headers, ...problemHeaders(body), Connection: 'close' });
  outgoing.end(body);
}

/**
 * Answers what is no HTTP, or comes too slowly, in the form of every other answer, and ends the connection.
 * @param begun an answer is under way on it: no other can be given
 */
export function answerBadHttp(error: Error, socket: Duplex, begun: boolean): void {
  if (begun || !socket.writable || errorCode(error) === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const refusal = badHttp(errorCode(error));
  const body = problemOf(refusal);
  const headers = Object.entries({ ...problemHeaders(body), Connection: 'close' });
  socket.end(
    [
      `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}`,
      ...headers.map(([name, value]) => `${name}: ${value}`),
      '',
      body,
    ].join('\r\n'),
    // a peer that reads nothing would keep it half open
    () => socket.destroy(),
  );
}

function badHttp(code: string | undefined): Refusal {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, detail: 'The request came too slowly, or not at all; send it again at once.' };
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, detail: 'The request has more headers than this server takes.' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return {
        status: 413,
        detail: 'The chunks of the request have extensions longer than this server takes.',
      };
    default:
      return { status: 400, detail: 'This is no HTTP/1.1 request that can be read.' };
  }
}

function problemOf({ status, detail }: Refusal): string {
  const problem: ProblemDetails = { type: 'about:blank', title: problemTitles[status], status, detail };
  return JSON.stringify(problem);
}

const problemHeaders = (body: string): Record<string, string | number> => ({
  'Content-Type': problemType,
  'Content-Length': Buffer.byteLength(body),
});
