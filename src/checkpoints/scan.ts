import path from 'node:path';
import { stampOf, stampsIn, walkDir, type Stamp } from '../util/os/dir-walk.js';
import { errorCode, errorText } from '../util/os/durable.js';
import type { Content, Layout, Look, UnitDraft } from './layouts/layout.js';
import { isHidden, isTemporary } from './layouts/names.js';
import { isClosed, isNoFile, linkOf, mentions, namesIn, textOf } from './layouts/peek.js';
import { layoutFor, type LayoutName } from './layouts/registry.js';
import { sniffFile } from './layouts/sniff.js';
import { oldestFirst } from './order.js';
import type { Unit } from './unit.js';

/** A sharded checkpoint of a thousand ranks has some thousands of files. */
const bounds = { maxFiles: 100_000, maxDepth: 16 };
/** Names of files that hold a training's state. */
const saysState = /state|model|weight|param|optim|ckpt|checkpoint/i;
/** How many files of a folder are looked at to tell whether it is a checkpoint. */
const filesSniffed = 64;

export interface Scan {
  readonly layout: Layout;
  /** Other layouts whose checkpoints lie there too: `describeAmbiguity` puts it in words. */
  readonly alsoMatches: readonly LayoutName[];
  /** Oldest first. */
  readonly units: readonly Unit[];
  /** The whole top level, for the baseline. */
  readonly entries: readonly Stamp[];
}

interface Listing {
  readonly top: string;
  readonly files: readonly Stamp[];
  readonly folders: readonly string[];
}

/** Looks at one checkpoint folder again and again, and remembers what cannot have changed. */
export class Scanner {
  readonly #dir: string;
  readonly #wanted: 'auto' | LayoutName;
  #contents = new Map<string, Content>();
  #listings = new Map<string, Listing>();
  /** By entry, for the layouts that ask about words in it. */
  #mentioned = new Map<string, Map<string, boolean>>();

  constructor(dir: string, wanted: 'auto' | LayoutName) {
    this.#dir = dir;
    this.#wanted = wanted;
  }

  /**
   * What lies in the folder. A folder that is gone has nothing in it.
   * @param restOn checkpoints that may be taken as they were last time if their top entry's stat is the same; the
   *   newest two are always walked
   * @throws the system's error when the folder cannot be listed
   */
  async scan(restOn: (id: string) => boolean): Promise<Scan> {
    const entries = await stampsIn(this.#dir);
    const look = this.#look(entries);
    const { layout, alsoMatches } = await layoutFor(this.#wanted, look);
    const drafts = (await layout.units(look)).map((draft) => ({
      ...draft,
      modifiedAt: Math.max(...draft.members.map((entry) => entry.mtimeMs)),
    }));
    const ordered = oldestFirst(drafts);
    const units: Unit[] = [];
    for (const [index, draft] of ordered.entries())
      units.push(await this.#unit(draft, index < ordered.length - 2 && restOn(draft.id)));
    this.#forget(entries);
    const timed = units.map((unit) => ({ ...unit, modifiedAt: newest(unit) }));
    return { layout, alsoMatches, units: oldestFirst(timed), entries };
  }

  /** The folder's top level as it is now. */
  async look(): Promise<Look> {
    return this.#look(await stampsIn(this.#dir));
  }

  #look(entries: readonly Stamp[]): Look {
    const dir = this.#dir;
    return {
      dir,
      entries: entries.filter((entry) => !isHidden(entry.path) && !isTemporary(entry.path)),
      content: (entry) => this.#content(entry),
      has: async (entry, name) => (await stampOf(dir, path.join(entry.path, name))) !== undefined,
      names: (entry) => namesIn(path.join(dir, entry.path)),
      mentions: (entry, words) => this.#mentions(entry, words),
      text: (name) => textOf(path.join(dir, name)),
      linkTarget: (name) => linkOf(path.join(dir, name)),
    };
  }

  async #content(entry: Stamp): Promise<Content> {
    const key = keyOf(entry);
    const cached = this.#contents.get(key);
    if (cached !== undefined) return cached;
    const content = entry.kind === 'file' ? await this.#fileContent(entry) : await this.#folderContent(entry);
    // a folder's files may still come; that it holds a known one does not change
    if (entry.kind === 'file' || typeof content === 'object') this.#contents.set(key, content);
    return content;
  }

  async #mentions(entry: Stamp, words: readonly string[]): Promise<boolean> {
    const known = this.#mentioned.get(keyOf(entry)) ?? new Map<string, boolean>();
    this.#mentioned.set(keyOf(entry), known);
    const asked = words.join(' ');
    const answer = known.get(asked) ?? (await mentions(path.join(this.#dir, entry.path), words));
    known.set(asked, answer);
    return answer;
  }

  async #fileContent(entry: Stamp): Promise<Content> {
    try {
      return await sniffFile(path.join(this.#dir, entry.path), entry.size);
    } catch (error) {
      if (isClosed(error) || isNoFile(error)) return 'foreign';
      throw error;
    }
  }

  async #folderContent(entry: Stamp): Promise<Content> {
    const walk = await walkDir(this.#dir, entry.path, { maxFiles: filesSniffed, maxDepth: 2 }).catch(
      noneIfClosed,
    );
    if (!walk) return 'foreign';
    if (walk.files.length === 0) return 'torn';
    let answer: Content = 'torn';
    for (const file of walk.files) {
      if (file.kind !== 'file' || isHidden(path.basename(file.path))) continue;
      const content = await this.#fileContent(file);
      // JSON and pickles lie in every folder: they count where nothing better is, if they are named for what they hold
      const weak = typeof content === 'object' && (content.known === 'json' || content.known === 'pickle');
      if (typeof content === 'object' && !weak) return content;
      if (weak && saysState.test(path.basename(file.path))) answer = content;
      else if (content !== 'torn' && answer === 'torn') answer = 'foreign';
    }
    return answer;
  }

  async #unit(draft: UnitDraft, rest: boolean): Promise<Unit> {
    const files: Stamp[] = [];
    const folders: string[] = [];
    let unreadable: string | undefined;
    for (const entry of draft.members) {
      if (entry.kind !== 'folder') {
        files.push(entry);
        continue;
      }
      try {
        const listing = await this.#list(entry, rest);
        files.push(...listing.files);
        folders.push(...listing.folders);
      } catch (error) {
        unreadable = errorCode(error) ?? errorText(error);
      }
    }
    files.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { ...draft, files, folders, ...(unreadable === undefined ? {} : { unreadable }) };
  }

  async #list(entry: Stamp, rest: boolean): Promise<Listing> {
    const cached = this.#listings.get(entry.path);
    const top = keyOf(entry);
    if (rest && cached?.top === top) return cached;
    const walk = await walkDir(this.#dir, entry.path, bounds);
    if (walk.truncated)
      throw new Error(`more than ${bounds.maxFiles} files or ${bounds.maxDepth} folders deep`);
    const listing = { top, files: walk.files, folders: walk.folders };
    this.#listings.set(entry.path, listing);
    return listing;
  }

  #forget(entries: readonly Stamp[]): void {
    const keys = new Set(entries.map(keyOf));
    const names = new Set(entries.map((entry) => entry.path));
    for (const cache of [this.#contents, this.#mentioned])
      for (const key of cache.keys()) if (!keys.has(key)) cache.delete(key);
    for (const name of this.#listings.keys()) if (!names.has(name)) this.#listings.delete(name);
  }
}

const keyOf = (entry: Stamp): string => `${entry.path}\0${entry.inode} ${entry.size} ${entry.mtimeNs}`;

const newest = (unit: Unit): number =>
  Math.max(...[...unit.files, ...unit.members].map((file) => file.mtimeMs));

function noneIfClosed(error: unknown): undefined {
  if (isClosed(error)) return undefined;
  throw error;
}
