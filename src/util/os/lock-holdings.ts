import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import type net from 'node:net';
import path from 'node:path';
import { errorText, files } from './durable.js';
import {
  liveClaims,
  publishClaim,
  refreshClaim,
  refreshEveryMs,
  removeClaim,
  type Rival,
} from './lock-claims.js';
import { register, unregister } from './lock-nested.js';
import type { LockOwner } from './lock-owner.js';
import { ask, type ClaimState, listen, openShortDir, type ShortDir } from './lock-socket.js';

export interface HoldingPlace {
  readonly keepIn: string;
  readonly registry?: string;
  readonly onTrouble?: (text: string) => void;
  readonly refreshMs?: number;
}

/** Somebody is there, but who, or whether it stays, is not known yet. */
export const undecided: Rival = { id: '', state: 'contending', owner: undefined };

/** All that one request for a lock has taken: its sockets, its claim file, its line in the registry, its timer. */
export class Holdings {
  readonly folder: string;
  readonly claim: { readonly id: string; state: ClaimState; readonly owner: LockOwner };
  readonly #place: HoldingPlace;
  readonly #servers: net.Server[] = [];
  #address: { readonly name: string; readonly server: net.Server } | undefined;
  #hasSocket = false;
  #published = false;
  #short: ShortDir | undefined;
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> = Promise.resolve();
  #troubled = false;
  #dropped: Promise<void> | undefined;

  constructor(place: HoldingPlace, owner: LockOwner) {
    this.#place = place;
    this.folder = path.join(place.keepIn, 'lock');
    const id = Date.now().toString(16).padStart(12, '0') + randomBytes(4).toString('hex');
    this.claim = { id, state: 'contending', owner };
  }

  /** Binds the abstract socket. @returns whoever has it already */
  async takeAddress(address: string | undefined): Promise<Rival | undefined> {
    if (address === undefined) return undefined;
    const server = await listen(address, () => this.claim);
    if (typeof server !== 'string') {
      this.#address = { name: address, server };
      return undefined;
    }
    // a kernel without abstract sockets, or a sandbox that forbids them: the claim alone must do
    if (server !== 'EADDRINUSE') return undefined;
    const answer = await ask(address);
    if (answer.type === 'claim') return answer.claim;
    if (answer.type !== 'silent') return undecided;
    // it is stopped, or very busy; its claim file says how far it got
    const claims = await liveClaims(this.folder, Date.now(), false);
    return claims.find((claim) => claim.state === 'held') ?? undecided;
  }

  /** Makes the claim seen. @returns the present time by the clock that stamps the files of this folder */
  async publish(): Promise<number> {
    const { claim, folder } = this;
    await files.mkdir(folder, { recursive: true, mode: 0o700 });
    this.#published = true;
    this.#short = await openShortDir(folder);
    // it must listen before it bears the name that others look for, or it could be taken for a dead one
    const server = await listen(this.#short.address(`.${claim.id}.tmp`), () => claim);
    if (typeof server !== 'string') {
      this.#servers.push(server);
      await files.rename(path.join(folder, `.${claim.id}.tmp`), path.join(folder, `${claim.id}.sock`));
      this.#hasSocket = true;
    }
    await publishClaim(folder, claim, this.#hasSocket);
    const { registry } = this.#place;
    if (registry !== undefined) await register(registry, claim.id, { dir: claim.owner.dir, folder });
    return (await fs.stat(path.join(folder, `${claim.id}.json`))).mtimeMs;
  }

  /** It is ours: says so from here on, and goes on saying so to other hosts. */
  async keep(): Promise<void> {
    this.claim.state = 'held';
    await publishClaim(this.folder, this.claim, this.#hasSocket);
    this.#timer = setInterval(() => {
      this.#refreshing = this.#refresh();
    }, this.#place.refreshMs ?? refreshEveryMs).unref();
  }

  /** A new folder may get a deleted one's inode, and so its address. */
  hasAddress(address: string | undefined): boolean {
    return address !== undefined && this.#address?.name === address;
  }

  /** Whether others find our claim where they look for it. */
  isSeen(): boolean {
    return existsSync(path.join(this.folder, `${this.claim.id}.json`));
  }

  /** Takes the place of what we held before; if that has the right address already, it is not free in between. */
  async replace(former: Holdings, address: string | undefined): Promise<void> {
    if (former.hasAddress(address)) {
      this.#address = former.#address;
      former.#address = undefined;
    }
    await former.drop();
  }

  /** Gives everything back. What cannot be removed is told as trouble; the sockets are closed in any case. */
  drop(): Promise<void> {
    this.#dropped ??= this.#drop();
    return this.#dropped;
  }

  async #drop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#refreshing;
    try {
      const { registry } = this.#place;
      if (this.#published) await removeClaim(this.folder, this.claim.id);
      if (this.#published && registry !== undefined) await unregister(registry, this.claim.id);
    } catch (error) {
      this.#place.onTrouble?.(`could not remove a lock's file in ${this.folder}: ${errorText(error)}`);
    }
    if (this.#address) await close(this.#address.server);
    await Promise.all(this.#servers.map(close));
    await this.#short?.close();
  }

  async #refresh(): Promise<void> {
    try {
      await refreshClaim(this.folder, this.claim, this.#hasSocket);
      this.#troubled = false;
    } catch (error) {
      if (!this.#troubled) {
        this.#place.onTrouble?.(
          `other hosts may take ${this.claim.owner.dir} for free: ${this.folder} cannot be refreshed (${errorText(error)})`,
        );
      }
      this.#troubled = true;
    }
  }
}

const close = (server: net.Server): Promise<void> =>
  new Promise((resolve) => {
    // an answer that is still on its way to a client does not hold us up: closing ends the listening at once
    server.close();
    resolve();
  });
