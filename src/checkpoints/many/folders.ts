import fs from 'node:fs/promises';
import path from 'node:path';
import type { CheckpointStore } from '../../supervisor/ports.js';
import { errorCode } from '../../util/os/durable.js';
import { overlap } from '../../util/os/lock-nested.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { baseOf, isGlob, matching } from './glob.js';

/** A checkpoint folder in hand. */
export interface OpenFolder {
  readonly store: CheckpointStore;
  /** Gives back what holds it for this process. The store is closed first. */
  release(): Promise<void>;
}

/** One folder among several. */
export interface Member extends OpenFolder {
  /** As it was named, or matched. */
  readonly given: string;
  /** For people: its path from where all of them are. */
  readonly name: string;
  /** Which of the names given it belongs to. */
  readonly line: number;
}

/** @param appeared matched by a glob: an attempt of the run may have made it */
export type OpenOne = (dir: string, appeared: boolean) => Promise<Result<OpenFolder>>;

/** The folders that several names stand for; more of them as globs match more. */
export class Folders {
  /** Absolute; globs among them. */
  readonly patterns: readonly string[];
  readonly #open: OpenOne;
  readonly #notice: (text: string) => void;
  readonly #root: string;
  readonly #globs: ReadonlySet<string>;
  readonly #said = new Set<string>();
  /** Matched, looked at and not taken: it cannot be had, or is there under another name. */
  readonly #left = new Set<string>();
  #members: readonly Member[] = [];

  private constructor(
    patterns: readonly string[],
    globs: ReadonlySet<string>,
    open: OpenOne,
    notice: (text: string) => void,
  ) {
    // prettier-ignore
    this.patterns = patterns;
    this.#globs = globs;
    this.#open = open;
    this.#notice = notice;
    this.#root = commonFolder(patterns.map((one) => (globs.has(one) ? baseOf(one) : path.dirname(one))));
  }

  /** Opens every folder there is, or none. */
  static async open(
    patterns: readonly string[],
    open: OpenOne,
    notice: (text: string) => void,
  ): Promise<Result<Folders>> {
    const globs = new Set<string>();
    for (const pattern of patterns) if (isGlob(pattern) && !(await isThere(pattern))) globs.add(pattern);
    const folders = new Folders([...new Set(patterns)], globs, open, notice);
    const opened = await folders.#takeIn(await folders.#found(), fail);
    if (opened.ok) return ok(folders);
    await folders.close();
    return opened;
  }

  /** The only one there will ever be. */
  get alone(): OpenFolder | undefined {
    return this.patterns.length === 1 && this.#globs.size === 0 ? this.#members[0] : undefined;
  }

  /** In the order in which they were named; those of one glob by their numbers. */
  get members(): readonly Member[] {
    return this.#members;
  }

  /** Takes in what globs match by now. What cannot be had is said once, and left. @returns what is new */
  async refresh(): Promise<readonly Member[]> {
    const before = new Set(this.#members);
    await this.#takeIn(await this.#found(), (message) => {
      if (!this.#said.has(message)) this.#notice(`${message}; the others go on without it`);
      this.#said.add(message);
      return ok(undefined);
    });
    return this.#members.filter((one) => !before.has(one));
  }

  /** Whether a glob matches a folder that was not taken in, nor refused before. */
  async hasMore(): Promise<boolean> {
    const known = new Set(this.#members.map((one) => one.given));
    return (await this.#found()).some(({ given }) => !known.has(given) && !this.#left.has(given));
  }

  async close(): Promise<void> {
    for (const member of this.#members) {
      await member.store.close();
      await member.release();
    }
    this.#members = [];
  }

  async #found(): Promise<{ given: string; line: number }[]> {
    const found: { given: string; line: number }[] = [];
    for (const [line, pattern] of this.patterns.entries()) {
      if (!this.#globs.has(pattern)) {
        found.push({ given: pattern, line });
        continue;
      }
      const matches = await matching(pattern);
      if (matches.length === 0 && !this.#said.has(pattern)) {
        this.#said.add(pattern);
        this.#notice(`no folder matches ${pattern} yet: it is taken in as soon as there is one`);
      }
      found.push(...matches.map((given) => ({ given, line })));
    }
    return found;
  }

  async #takeIn(
    found: readonly { readonly given: string; readonly line: number }[],
    refuse: (message: string, exit: number) => Result<unknown>,
  ): Promise<Result<unknown>> {
    const news = found.filter(({ given }) => !this.#members.some((one) => one.given === given));
    // always in one order: of two runs that want the same folders one gets them all
    for (const { given, line } of [...news].sort((a, b) => (a.given < b.given ? -1 : 1))) {
      const opened = await this.#openOne(given, line);
      if (opened.ok) continue;
      this.#left.add(given);
      const refused = refuse(opened.error.message, opened.error.exit);
      if (!refused.ok) return refused;
    }
    return ok(undefined);
  }

  async #openOne(given: string, line: number): Promise<Result<void>> {
    const appeared = this.#globs.has(this.patterns[line] ?? '');
    const real = await realPath(given);
    const other = this.#members.find(({ store }) => overlap(store.dir, real));
    // two names of one glob may lead to the same folder: version_latest → version_3
    if (other?.store.dir === real && appeared && other.line === line) {
      this.#left.add(given);
      return ok(undefined);
    }
    if (other) {
      const how = other.store.dir === real ? 'are the same folder' : 'lie one inside the other';
      return fail(`the checkpoint folders ${other.given} and ${given} ${how}; name each checkpoint's folder once`, exitStatus.config); // prettier-ignore
    }
    const opened = await this.#open(given, appeared);
    if (!opened.ok) return opened;
    const member = { ...opened.value, given, line, name: path.relative(this.#root, given) };
    const order = [...this.#members, member];
    order.sort((a, b) => a.line - b.line || byNumber.compare(a.given, b.given));
    this.#members = order;
    return ok(undefined);
  }
}

const byNumber = new Intl.Collator('en', { numeric: true });

function commonFolder(dirs: readonly string[]): string {
  const [first = path.sep, ...others] = dirs;
  const parts = first.split(path.sep);
  const shared = parts.findIndex((part, index) =>
    others.some((other) => other.split(path.sep)[index] !== part),
  );
  return (shared < 0 ? parts : parts.slice(0, shared)).join(path.sep) || path.sep;
}

async function realPath(given: string): Promise<string> {
  try {
    return await fs.realpath(given);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return given;
  }
}

async function isThere(name: string): Promise<boolean> {
  try {
    await fs.lstat(name);
    return true;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}
