import { type IncomingMessage, ServerResponse } from 'node:http';

/** So much is read of a body that nobody wants. A sender of more than this may find the connection cut, unanswered. */
const lingerBytes = 64 * 1024 * 1024;

/**
 * Responses that are sent at once but do not end, and with them the connection, while the request's body is still coming:
 * whoever sends into a connection that is closed is told "connection reset" instead of what is wrong. What comes meanwhile
 * goes nowhere.
 * @param lingerMs how long that may last
 */
export const patientResponse = (lingerMs: number): typeof ServerResponse<IncomingMessage> =>
  class extends ServerResponse {
    override end(chunk?: unknown, encoding?: unknown, done?: unknown): this {
      if (this.req.complete || this.req.destroyed)
        return super.end(chunk, encoding as BufferEncoding, done as () => void);
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) this.write(chunk);
      else this.flushHeaders();
      discardRest(this.req, lingerMs, () => super.end());
      return this;
    }
  };

function discardRest(incoming: IncomingMessage, lingerMs: number, then: () => void): void {
  let left = lingerBytes;
  const end = (): void => {
    clearTimeout(timer);
    then();
  };
  const timer = setTimeout(end, lingerMs);
  // who began to read the body would stop it again after each piece
  incoming.removeAllListeners('data');
  incoming.once('close', end).once('end', end).on('error', end);
  incoming.on('data', (piece: Buffer) => {
    left -= piece.length;
    if (left < 0) end();
  });
  incoming.resume();
}
