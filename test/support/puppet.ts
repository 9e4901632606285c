import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { atEnd, type TestEnd } from './cleanup.js';
import { eventually } from './eventually.js';
import { Puppet } from './puppet-process.js';
import { fixture } from './root.js';

export { Puppet, type SpawnOptions } from './puppet-process.js';

const HELLO_MS = 60_000;

/**
 * Where puppets report: processes (`fixtures/processes/puppet.mjs`) that do what the test says, when it says so.
 *
 *     const stage = await PuppetStage.create(t);
 *     // …have stage.command launched…
 *     const puppet = await stage.next();
 *     await puppet.stdout('heartbeat step=1\n');
 *     await puppet.exit(1);
 */
export class PuppetStage {
  /** The argument vector that starts a puppet. It needs no environment. */
  readonly command: readonly [string, ...string[]];
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #puppets: Puppet[] = [];
  readonly #unclaimed: Puppet[] = [];

  private constructor(server: net.Server, socketPath: string) {
    this.#server = server;
    this.command = [process.execPath, fixture('processes', 'puppet.mjs'), socketPath];
    server.on('connection', (socket) => void this.#greet(socket));
  }

  /** Opens the stage. When the test ends it closes, and every puppet is gone. */
  static async create(t: TestEnd): Promise<PuppetStage> {
    // a socket's path must stay under 104 bytes, and TMPDIR may be long
    const dir = mkdtempSync(path.join(os.tmpdir().length < 60 ? os.tmpdir() : '/tmp', 'puppets-'));
    const socketPath = path.join(dir, 'stage');
    const server = net.createServer();
    const stage = new PuppetStage(server, socketPath);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(socketPath, resolve);
    });
    atEnd(t, async () => {
      await stage.#close();
      rmSync(dir, { recursive: true, force: true });
    });
    return stage;
  }

  /** The next puppet that has come up and was not asked for yet, grandchildren aside. */
  async next(timeoutMs = HELLO_MS): Promise<Puppet> {
    return eventually(() => this.#unclaimed.shift(), 'a puppet to come up', timeoutMs);
  }

  /** How many came up so far, grandchildren included. */
  get count(): number {
    return this.#puppets.length;
  }

  async #greet(socket: net.Socket): Promise<void> {
    this.#sockets.add(socket);
    const puppet = new Puppet(socket, (pid) => this.#claim(pid));
    if (!(await puppet.introduced)) return;
    this.#puppets.push(puppet);
    this.#unclaimed.push(puppet);
  }

  /** Takes a grandchild out of the queue. */
  async #claim(pid: number): Promise<Puppet> {
    return eventually(
      () => {
        const at = this.#unclaimed.findIndex((puppet) => puppet.pid === pid);
        return at < 0 ? undefined : this.#unclaimed.splice(at, 1)[0];
      },
      `puppet ${pid} to come up`,
      HELLO_MS,
    );
  }

  async #close(): Promise<void> {
    this.#server.close();
    await Promise.all(this.#puppets.map((puppet) => puppet.remove()));
    // those that have not said hello end by themselves
    for (const socket of this.#sockets) socket.destroy();
  }
}
