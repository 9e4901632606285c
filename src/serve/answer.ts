/** What an endpoint says to a request; neither HTTP library appears in it. */
export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON; left out: no content. */
  readonly body?: unknown;
  /** Bytes as they come, instead of `body`; the headers then hold `content-type`. */
  readonly stream?: AsyncIterable<Uint8Array>;
  /** Lets go of what `stream` holds, read or not. */
  readonly close?: () => void | Promise<void>;
}

/** The connection that a request came by: an answer under way can only be taken back by ending it. */
export interface Connection {
  destroy(): unknown;
}
