import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { formatBytes } from '../util/text.js';
import type { Connections } from './connections.js';
import type { Caller, Refusal } from './guard.js';
import type { OptionNames } from './option-names.js';
import { answerBadHttp, turnAway } from './turn-away.js';

export interface GateParts {
  readonly guard: (caller: Caller) => Refusal | undefined;
  readonly connections: Connections;
  /** The largest body that any request may have. */
  readonly maxBodyBytes: number;
  readonly optionNames: OptionNames;
  /** The path that is meant where an address has more before it. */
  readonly scope?: (url: string) => string | Refusal;
  /** Answers what was let pass. */
  readonly serve: (incoming: IncomingMessage, outgoing: ServerResponse) => void;
  /** @param kind the same trouble again bears the same */
  readonly trouble: (kind: string, text: string) => void;
}

interface Connection {
  socket: Socket;
  /** What is under way on it, and the address that was asked for, of what was let pass. */
  readonly answers: Map<ServerResponse, string | undefined>;
}

/** Stands between the sockets and what answers requests, and does what guard and connections decide. */
export class Gate {
  private readonly parts: GateParts;
  private readonly open = new Map<string, Connection>();
  private closing = false;

  constructor(parts: GateParts) {
    this.parts = parts;
  }

  opened(socket: Socket): void {
    const id = endsOf(socket);
    if (id === undefined || this.closing) {
      // it is gone already, or comes too late
      socket.destroy();
      return;
    }
    // the same ends can only meet again when their former connection is no more
    this.drop(id);
    const connection: Connection = { socket, answers: new Map() };
    this.open.set(id, connection);
    socket.once('close', () => {
      if (this.open.get(id) === connection) this.forget(id);
    });
    const victim = this.parts.connections.opened(id);
    if (victim === undefined) return;
    this.parts.trouble(
      'strangers',
      'there is no more room for connections: those that never showed the token are closed, the oldest first',
    );
    this.drop(victim);
  }

  /** What is sent on it goes through TLS from now on. */
  secured(socket: Socket): void {
    const connection = this.open.get(endsOf(socket) ?? '');
    if (connection) connection.socket = socket;
    else socket.destroy();
  }

  /** @param goOn tells a sender that waits for it to send the body */
  request(incoming: IncomingMessage, outgoing: ServerResponse, goOn: () => void = () => undefined): void {
    const id = endsOf(incoming.socket) ?? '';
    const connection = this.open.get(id);
    if (!connection) {
      incoming.socket.destroy();
      return;
    }
    const asked = incoming.url;
    connection.answers.set(outgoing, undefined);
    outgoing.once('close', () => this.answered(id, connection, outgoing));
    const refusal = this.refusalOf(incoming) ?? this.take(id);
    if (refusal === 'pipelined') {
      connection.socket.destroy();
    } else if (refusal) {
      turnAway(outgoing, refusal);
    } else {
      connection.answers.set(outgoing, asked);
      goOn();
      // it was judged: whatever form of our name it is, nothing that follows is to judge it again
      incoming.headers.host = 'localhost';
      this.parts.serve(incoming, outgoing);
    }
  }

  /** What came on it is no HTTP, or came too slowly. */
  badHttp(error: Error, socket: Socket): void {
    const connection = this.open.get(endsOf(socket) ?? '');
    const begun = [...(connection?.answers.keys() ?? [])].some((answer) => answer.headersSent);
    answerBadHttp(error, socket, begun);
  }

  /** What `scope` refuses has changed: who is answered and would not be let pass now is cut off in the middle. */
  rescope(): void {
    const { scope } = this.parts;
    const isOver = (asked: string | undefined): boolean =>
      asked !== undefined && typeof scope?.(asked) === 'object';
    for (const [id, { answers }] of [...this.open]) if ([...answers.values()].some(isOver)) this.drop(id);
  }

  /** From now on nothing is taken any more; what is not under way is closed at once. */
  drain(): void {
    this.closing = true;
    for (const [id, { answers }] of [...this.open]) {
      if (answers.size === 0) this.drop(id);
      for (const answer of answers.keys()) if (!answer.headersSent) answer.setHeader('Connection', 'close');
    }
  }

  /** Ends what is left. */
  end(): void {
    for (const id of [...this.open.keys()]) this.drop(id);
  }

  private refusalOf(incoming: IncomingMessage): Refusal | undefined {
    const { host, origin, authorization } = incoming.headers;
    const { localAddress } = incoming.socket;
    return (
      this.parts.guard({ host, origin, authorization, localAddress }) ??
      (this.closing ? shutting : undefined) ??
      misdirected(incoming.url ?? '') ??
      tooLarge(Number(incoming.headers['content-length'] ?? 0), this.parts) ??
      this.enter(incoming)
    );
  }

  private enter(incoming: IncomingMessage): Refusal | undefined {
    const meant = this.parts.scope?.(incoming.url ?? '') ?? incoming.url;
    if (typeof meant === 'object') return meant;
    if (meant !== undefined) incoming.url = meant;
    return undefined;
  }

  private take(id: string): Refusal | 'pipelined' | undefined {
    const { evicted, overload } = this.parts.connections.begun(id);
    if (evicted !== undefined) {
      this.parts.trouble(
        'workers',
        `more workers are connected than there is room for: connections that are quiet are closed${wayOut('; raise ', this.parts.optionNames.maxConnections)}`,
      );
      this.drop(evicted);
    }
    return overload === 'all-busy' ? busy : overload;
  }

  private answered(id: string, connection: Connection, outgoing: ServerResponse): void {
    connection.answers.delete(outgoing);
    if (this.open.get(id) !== connection) return;
    this.parts.connections.ended(id);
    if (this.closing && connection.answers.size === 0) connection.socket.destroySoon();
  }

  private drop(id: string): void {
    const connection = this.open.get(id);
    if (!connection) return;
    this.forget(id);
    connection.socket.destroy();
  }

  private forget(id: string): void {
    this.open.delete(id);
    this.parts.connections.closed(id);
  }
}

/**
 * Both ends of a connection: no other has the same while it lives, and the socket below TLS and the one above say the
 * same.
 */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
  return remotePort === undefined || localPort === undefined
    ? undefined
    : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

const shutting: Refusal = {
  status: 503,
  detail: 'The server is shutting down; try again once it is back.',
  headers: { 'Retry-After': '1' },
};

const busy: Refusal = {
  status: 503,
  detail: 'All connections for workers are busy; try again in a second.',
  headers: { 'Retry-After': '1' },
};

/** No path here has `.` or `..` as a part, and what would resolve them could end up at another. */
function misdirected(url: string): Refusal | undefined {
  const path = url.split('?', 1)[0] ?? '';
  if (path.startsWith('/') && !/[\\/](?:\.|%2e){1,2}(?:[\\/]|%2f|%5c|$)/i.test(path) && !path.includes('\\'))
    return undefined;
  return {
    status: 400,
    detail: 'The request must name a path of this server, without . or .. or \\ in it; see /openapi.json.',
  };
}

/** Nothing where there is no such option. */
const wayOut = (words: string, option: string | undefined): string =>
  option === undefined ? '' : `${words}${option}`;

function tooLarge(bytes: number, { maxBodyBytes: most, optionNames }: GateParts): Refusal | undefined {
  if (!(bytes > most)) return undefined;
  const detail = `The body has ${formatBytes(bytes)}, and at most ${formatBytes(most)} are taken${wayOut('; start the server with a larger ', optionNames.maxCheckpointSize)}.`;
  return { status: 413, detail };
}
