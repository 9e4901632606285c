import { getRequestListener, RequestError } from '@hono/node-server';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import os from 'node:os';
import { Socket } from 'node:net';
import { errorCode } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { bareName, isWildcard, loopbackNames, urlOf, wrongName } from './address.js';
import { type ConnectionLimits, Connections } from './connections.js';
import { Gate } from './gate.js';
import { createGuard, type Refusal } from './guard.js';
import { listen } from './listen.js';
import { flagNames, type OptionNames } from './option-names.js';
import { patientResponse } from './patient-response.js';
import { internalError, problem } from './problem.js';
import { seldom } from './seldom.js';
import type { TlsFiles } from './tls.js';

export interface ServerOptions {
  /**
   * Answers a request that was let pass.
   * @param connection ends an answer that cannot be completed
   */
  readonly fetch: (request: Request, connection: { destroy(): unknown }) => Response | Promise<Response>;
  readonly token: string;
  /** The path that is meant where an address has more before it, or why it is not answered. */
  readonly scope?: (url: string) => string | Refusal;
  /** A name or address of this machine. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Other names under which it is reached: a proxy's, that of a forwarded port. */
  readonly allowHosts?: readonly string[];
  readonly tls?: TlsFiles;
  readonly connections: ConnectionLimits;
  /** The largest body that any request may have. */
  readonly maxBodyBytes: number;
  /** Those of the command line unless given. */
  readonly names?: OptionNames;
  /** Ends what never ends by itself, event streams; called as the server begins to close. */
  readonly endStreams?: () => void;
  /** Told in plain words, of each kind once a minute at most, what is wrong with the machine or the network. */
  readonly onTrouble?: (text: string) => void;
  /** Told of what should not have happened: `fetch` threw. */
  readonly onBug?: (error: unknown) => void;
  readonly times?: Partial<ServerTimes>;
}

/** How long the server waits, ms. */
export interface ServerTimes {
  /** Until a request's headers are all there; also for the first byte on a new connection, and for TLS. */
  readonly headersMs: number;
  /** Until its body is all there too. */
  readonly requestMs: number;
  /** For the next request on a connection; longer than any usual time between heartbeats. */
  readonly keepAliveMs: number;
  /** Without a byte moving either way while a request is under way. */
  readonly stalledMs: number;
  /** For requests under way when it is closed. */
  readonly closeMs: number;
  /** For a sender to stop sending what nobody wants. */
  readonly lingerMs: number;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** `scope` refuses others from now on: who is being answered and is one of them is cut off, half an upload too. */
  rescope(): void;
  /** Takes no more requests, lets those under way end (within `closeMs`), then ends every connection. */
  close(): Promise<void>;
}

/**
 * Puts what answers requests behind HTTP/1.1, or HTTPS, and keeps from it whoever has no business there: other hosts and
 * sites, who has no token, bodies that are too large, senders that never end, more connections than there is room for.
 * @returns exit 75 where the port is taken, 78 where it can never be listened on, or a name is none
 */
export async function startServer(options: ServerOptions): Promise<Result<RunningServer>> {
  const { allowHosts = [], names: optionNames = flagNames, onBug = () => undefined } = options;
  const wrong =
    wrongName(optionNames.host, options.host) ??
    allowHosts.map((name) => wrongName(optionNames.allowHosts, name)).find(Boolean);
  if (wrong !== undefined) return fail(wrong, exitStatus.config);
  const times = { ...usualTimes(options.maxBodyBytes), ...options.times };
  const scheme = options.tls ? 'https' : 'http';
  const host = isWildcard(options.host) ? os.hostname() : bareName(options.host);
  const names = new Set([...loopbackNames, host, ...allowHosts].map(bareName));
  const trouble = seldom(options.onTrouble ?? (() => undefined));
  const listener = getRequestListener((request, { outgoing }) => options.fetch(request, outgoing), {
    errorHandler: (error) => unforeseen(error, onBug),
  });
  const gate = new Gate({
    guard: createGuard({ token: options.token, scheme, names, optionNames }),
    connections: new Connections(options.connections),
    ...(options.scope && { scope: options.scope }),
    maxBodyBytes: options.maxBodyBytes,
    optionNames,
    serve: (incoming, outgoing) => void listener(incoming, outgoing),
    trouble,
  });
  const server = createServer(options.tls, times);
  connect(server, gate);
  const address = options.host.replace(/^\[(.*)\]$/, '$1');
  const listening = await listen(server, address, options.port, optionNames);
  if (!listening.ok) return listening;
  server.on('error', (error) => trouble(errorCode(error) ?? '', acceptTrouble(error)));
  return ok({
    url: urlOf(scheme, host, listening.value),
    port: listening.value,
    rescope: () => gate.rescope(),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      gate.drain();
      options.endStreams?.();
      const timer = setTimeout(() => gate.end(), times.closeMs);
      await closed;
      clearTimeout(timer);
    },
  });
}

/** The slowest network over which a body as large as may be still gets through, bytes per second. */
const slowestNetwork = 128 * 1024;

const usualTimes = (maxBodyBytes: number): ServerTimes => ({
  headersMs: 10_000,
  requestMs: 60_000 + Math.ceil(maxBodyBytes / slowestNetwork) * 1000,
  keepAliveMs: 75_000,
  stalledMs: 120_000,
  closeMs: 10_000,
  lingerMs: 2000,
});

function createServer(tls: TlsFiles | undefined, times: ServerTimes): Server {
  const settings = {
    headersTimeout: times.headersMs,
    requestTimeout: times.requestMs,
    keepAliveTimeout: times.keepAliveMs,
    connectionsCheckingInterval: Math.min(1000, times.headersMs),
    maxHeaderSize: 16 * 1024,
    noDelay: true,
    // the guard says it better
    requireHostHeader: false,
    ServerResponse: patientResponse(times.lingerMs),
  };
  const server = tls
    ? https.createServer({ ...settings, ...tls, handshakeTimeout: times.headersMs, minVersion: 'TLSv1.2' })
    : http.createServer(settings);
  // their size bounds them; what is beyond a number would be left out without a word, the token too
  server.maxHeadersCount = 0;
  server.timeout = times.stalledMs;
  return server;
}

function connect(server: Server, gate: Gate): void {
  server.on('connection', (socket: Socket) => gate.opened(socket));
  server.on('secureConnection', (socket: Socket) => gate.secured(socket));
  server.on('request', (incoming, outgoing) => gate.request(incoming, outgoing));
  // any other expectation may be ignored (RFC 9110), but not the token
  server.on('checkExpectation', (incoming, outgoing) => gate.request(incoming, outgoing));
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) =>
    gate.request(incoming, outgoing, () => outgoing.writeContinue()),
  );
  server.on('clientError', (error, socket) => {
    if (socket instanceof Socket) gate.badHttp(error, socket);
    else socket.destroy();
  });
}

/** The last resort: what answers requests throws only by a bug, unless the request is none that can be made one of. */
function unforeseen(error: unknown, onBug: (error: unknown) => void): Response {
  const isTheirs = error instanceof RequestError;
  if (!isTheirs) onBug(error);
  const { status, headers, body } = isTheirs ? problem(400, badRequest) : problem(500, internalError);
  return new Response(JSON.stringify(body), { status, ...(headers && { headers }) });
}

const badRequest = 'This is no request that can be answered; see /openapi.json.';

const acceptTrouble = (error: Error): string =>
  ['EMFILE', 'ENFILE'].includes(errorCode(error) ?? '')
    ? 'no more files may be open at once, so connections are turned away; raise the limit (ulimit -n) and start again'
    : `connections cannot be taken: ${error.message}`;
