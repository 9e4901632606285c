import type net from 'node:net';

/** The first thing a puppet says. */
export interface Hello {
  readonly type: 'hello';
  readonly pid: number;
  readonly ppid: number;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The TRAINGUARD_* variables it was given. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a puppet says, one JSON object a line. */
export type Message =
  | Hello
  | { readonly type: 'signal'; readonly signal: string }
  | { readonly type: 'done'; readonly id: number; readonly value?: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };

export function readMessages(socket: net.Socket, take: (message: Message) => void): void {
  let unread = '';
  socket.setEncoding('utf8').on('data', (text) => {
    const lines = (unread + String(text)).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) take(JSON.parse(line) as Message);
  });
}
