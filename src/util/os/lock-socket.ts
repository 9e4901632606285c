import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { errorCode } from './durable.js';
import type { LockOwner } from './lock-owner.js';

/** `contending`: it has not yet been settled who of those that ask at this moment gets the lock. */
export type ClaimState = 'contending' | 'held';

export interface Claim {
  /** Unique to one request for a lock; the older request has the lower one. */
  readonly id: string;
  readonly state: ClaimState;
  readonly owner: LockOwner;
}

/** What a socket said. `silent`: somebody listens but did not answer in time (stopped, or no trainguard). */
export type Answer =
  | { readonly type: 'claim'; readonly claim: Claim }
  | { readonly type: 'silent' }
  | { readonly type: 'dead' }
  /** It could not be asked: another user's, or a file system without sockets. */
  | { readonly type: 'unknown' };

/**
 * Listens and tells whoever connects, in one JSON line, what `claim` answers at that moment.
 * Never keeps the process alive and never throws later on.
 * @returns the server, or the system's error code (`EADDRINUSE`…)
 */
export function listen(address: string, claim: () => Claim): Promise<net.Server | string> {
  const server = net.createServer((socket) => {
    // a client that went away is its own business; one that stays is sent away
    socket.on('error', () => socket.destroy());
    socket.setTimeout(2000, () => socket.destroy());
    socket.unref();
    socket.resume();
    socket.end(`${JSON.stringify(claim())}\n`);
  });
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(errorCode(error) ?? 'EIO'));
    server.listen(address, () => {
      server.removeAllListeners('error');
      // accept() may fail later (EMFILE); the lock stands as long as the socket is bound
      server.on('error', () => server.unref());
      server.unref();
      resolve(server);
    });
  });
}

/** Asks a socket whose it is. */
export async function ask(address: string, timeoutMs = 1000): Promise<Answer> {
  for (let tries = 0; tries < 3; tries++) {
    const answer = await askOnce(address, timeoutMs);
    if (answer !== 'cut off') return answer;
  }
  return { type: 'silent' };
}

/** `cut off`: the listener closed, or its process died, between our connect and its answer. */
function askOnce(address: string, timeoutMs: number): Promise<Answer | 'cut off'> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    let text = '';
    const settle = (answer: Answer | 'cut off'): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle({ type: 'silent' }), timeoutMs);
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > 65_536) settle({ type: 'silent' });
    });
    socket.on('end', () => settle(text === '' ? 'cut off' : parseAnswer(text)));
    socket.on('error', (error) => settle(refusal(errorCode(error))));
  });
}

/** A folder that can be named within the 107 (macOS: 103) bytes of a socket's path, however long its real name is. */
export interface ShortDir {
  address(name: string): string;
  close(): Promise<void>;
}

export async function openShortDir(dir: string): Promise<ShortDir> {
  const longestName = 32;
  if (Buffer.byteLength(dir) + longestName < 100) {
    return { address: (name) => path.join(dir, name), close: () => Promise.resolve() };
  }
  if (process.platform === 'linux') {
    const handle = await fs.open(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    return { address: (name) => `/proc/self/fd/${handle.fd}/${name}`, close: () => handle.close() };
  }
  const base = mkdtempSync(path.join(os.tmpdir(), 'tg-'));
  symlinkSync(dir, path.join(base, 'd'));
  return {
    address: (name) => path.join(base, 'd', name),
    close: () => {
      rmSync(base, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}

/** Reads an owner out of JSON that may be anything; undefined if it is none. */
export function asOwner(value: unknown): LockOwner | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { run, kind, dir, host, bootId, pid, at } = value as Record<string, unknown>;
  const strings = [run, dir, host, bootId].every((field) => typeof field === 'string');
  if (!strings || (kind !== 'run' && kind !== 'checkpoints')) return undefined;
  return typeof pid === 'number' && typeof at === 'number' ? (value as LockOwner) : undefined;
}

function refusal(code: string | undefined): Answer | 'cut off' {
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'cut off';
  // ENOENT is no proof: somebody may have removed the socket of one that lives
  if (code === 'ECONNREFUSED') return { type: 'dead' };
  // its queue of callers is full, so it lives
  if (code === 'EAGAIN') return { type: 'silent' };
  return { type: 'unknown' };
}

function parseAnswer(text: string): Answer {
  try {
    const { id, state, owner } = JSON.parse(text) as Record<string, unknown>;
    const known = asOwner(owner);
    if (typeof id === 'string' && (state === 'contending' || state === 'held') && known) {
      return { type: 'claim', claim: { id, state, owner: known } };
    }
    return { type: 'silent' };
  } catch {
    // whoever listens there does not speak our language
    return { type: 'silent' };
  }
}
