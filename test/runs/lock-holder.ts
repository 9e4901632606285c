// A process that takes locks on command: a line of JSON in ({ acquire: request } or { release: true }), one out.
import readline from 'node:readline';
import { acquireLock, type Lock, type LockRequest } from '../../src/util/os/lock.js';

const real = process.platform;
let lock: Lock | undefined;
const say = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);
say({ ready: true });
for await (const line of readline.createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as { acquire?: LockRequest; mode?: string };
  if (order.acquire) {
    // what a system without abstract sockets and without /proc/self/fd does
    Object.defineProperty(process, 'platform', { value: order.mode === 'no-abstract' ? 'darwin' : real });
    const result = await acquireLock(order.acquire);
    if (result.ok) lock = result.value;
    say(result.ok ? { won: true } : { won: false, ...result.error });
  } else {
    await lock?.release();
    say({ released: true });
  }
}
process.exit(0);
