import path from 'node:path';
import type { CheckpointFact } from '../policy/checkpoint.js';
import { stampOf } from '../util/os/dir-walk.js';
import type { Origin } from './baseline.js';
import { incomplete } from './judge.js';
import { judgeContent, unreadable, type ContentRules, type Judgement } from './judge-content.js';
import type { Layout } from './layouts/layout.js';
import { inherit } from './inherit.js';
import { isHidden } from './layouts/names.js';
import type { Manifest } from './manifest.js';
import { Quiet } from './quiet.js';
import { oldestFirst } from './order.js';
import { isPinned, type Pin, type Pins } from './pins.js';
import { disorderIn } from './pointers.js';
import type { Scanner } from './scan.js';
import { factsOfSpares, type SeenSpare } from './spares/facts.js';
import type { Shelf } from './spares/shelf.js';
import type { Spare } from './spares/spare.js';
import type { Standings } from './standings.js';
import { stepOf } from './step.js';
import { recordedStep } from './step-file.js';
import { modifiedAt, sameStat, sizeOf, type Unit } from './unit.js';
import { saveInterval } from './verify/depth.js';

export interface LookOptions {
  readonly live: boolean;
  readonly step?: number;
  readonly budgetMs: number;
  /** Nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
}

export interface InspectorParts {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  readonly scanner: Scanner;
  readonly standings: Standings;
  readonly shelf: Shelf;
  readonly pins: Pins;
  readonly origin: Origin;
  readonly runId: string;
  readonly settleMs: number;
  readonly content: ContentRules;
  /** Nothing may be written. */
  readonly readOnly: boolean;
  readonly clock: { now(): number; mono(): number };
}

/** A checkpoint of the folder as it was last looked at. */
export interface SeenUnit {
  readonly unit: Unit;
  readonly manifest: Manifest;
  readonly fact: CheckpointFact;
}

/** One after the other they take a multiple of the time. */
const statsAtOnce = 64;

/** Goes from what lies in the folder to what it is worth. */
export class Inspector {
  readonly #parts: InspectorParts;
  readonly #quiet: Quiet;
  #layout: Layout;
  #units: readonly Unit[] = [];
  #pins: readonly Pin[] = [];
  #foreign: readonly string[] = [];
  #disorder: string | undefined;
  #seen: readonly SeenUnit[] = [];
  #spares: readonly SeenSpare[] = [];

  constructor(parts: InspectorParts, layout: Layout) {
    this.#parts = parts;
    this.#layout = layout;
    this.#quiet = new Quiet(parts.dir, parts.settleMs);
  }

  get layout(): string {
    return this.#layout.name;
  }

  /** Visible entries that belong to no checkpoint, as of the last look. */
  get foreign(): readonly string[] {
    return this.#foreign;
  }

  /** What the framework would stumble over though good checkpoints are there, as of the last inspection. */
  get disorder(): string | undefined {
    return this.#disorder;
  }

  /** The checkpoints of the folder as of the last inspection, oldest first. */
  get seen(): readonly SeenUnit[] {
    return this.#seen;
  }

  /** The spares as of the last inspection, oldest first, also those of what still lies in the folder. */
  get spares(): readonly SeenSpare[] {
    return this.#spares;
  }

  /** Lists the folder anew. */
  async units(live: boolean): Promise<readonly Unit[]> {
    const { scanner, standings } = this.#parts;
    const scan = await scanner.scan((id) => live && standings.isKnown(id));
    this.#layout = scan.layout;
    this.#units = scan.units;
    const taken = new Set(scan.units.flatMap((unit) => unit.members.map((member) => member.path)));
    this.#foreign = scan.entries
      .map((entry) => entry.path)
      .filter((name) => !isHidden(name) && !taken.has(name));
    return this.#units;
  }

  /** Newest first inside, so that a short budget is spent on what a restart would take; the answer is oldest first. */
  async inspect(options: LookOptions): Promise<CheckpointFact[]> {
    const { clock } = this.#parts;
    await this.units(options.live);
    this.#pins = await this.#parts.pins.all();
    this.#quiet.see(this.#units, clock.mono(), options.live ? options.step : undefined);
    const began = clock.mono();
    const inBudget = (): boolean => clock.mono() - began < options.budgetMs;
    let judged = 0;
    const budget = {
      mayBegin: () =>
        options.signal?.aborted !== true && options.budgetMs > 0 && (judged++ === 0 || inBudget()),
      // a live look is in nobody's way: it reads to the end what it began
      goOn: () => options.live || inBudget(),
    };
    const seen: SeenUnit[] = [];
    for (const [index, unit] of [...this.#units.entries()].reverse()) {
      const isNewest = index === this.#units.length - 1;
      // only the newest can have been cut off by the death of its writer
      const older = isNewest && !options.live ? this.#units.slice(0, index) : undefined;
      const valid = unit.passedOver === undefined ? await this.#parts.standings.valid(unit) : undefined;
      const manifest = valid ?? (await this.#judge(unit, older, options, budget));
      if (manifest) seen.push({ unit, manifest, fact: this.#factOf(unit, manifest) });
    }
    this.#seen = seen.reverse();
    // while the worker lives its pointers are on their way
    this.#disorder = options.live ? undefined : await this.#findDisorder();
    this.#spares = await factsOfSpares(this.#parts, this.#seen, this.#pins);
    const facts = this.#seen.map((one) => one.fact);
    const listed = this.#spares.flatMap(({ fact, inFolder }) => (inFolder ? [] : [fact]));
    if (listed.length === 0) return facts;
    const chosen = this.#seen.filter(({ unit }) => unit.chosen).map(({ fact }) => fact);
    return [...chosen, ...oldestFirst([...facts.filter((fact) => !chosen.includes(fact)), ...listed])];
  }

  async #findDisorder(): Promise<string | undefined> {
    const facts = new Map(this.#seen.map(({ fact }) => [fact.id, fact.standing] as const));
    const look = await this.#parts.scanner.look();
    return disorderIn(look, this.#layout, this.#units, (id) => facts.get(id));
  }

  /** A manifest that still holds, else one that says nothing but the files. */
  async manifestOf(unit: Unit): Promise<Manifest> {
    return (await this.#parts.standings.valid(unit)) ?? this.#fresh(unit, unreadable(''));
  }

  /** A spare was put back, durably, and its digests were checked: what was known of it holds for the files there now. */
  async restored(spare: Spare): Promise<void> {
    const unit = (await this.units(false)).find((one) => one.id === spare.of);
    if (unit) await this.#parts.standings.restored(unit, spare);
  }

  isOurs(unit: Unit): boolean {
    return this.#parts.origin.isOurs(unit);
  }

  /** @returns undefined if it vanished meanwhile */
  async #judge(
    unit: Unit,
    older: readonly Unit[] | undefined,
    options: LookOptions,
    budget: { readonly mayBegin: () => boolean; readonly goOn: () => boolean },
  ): Promise<Manifest | undefined> {
    const { clock, content, dir, readOnly, standings } = this.#parts;
    const waiting =
      incomplete(this.#layout, unit, older) ??
      (options.live ? await this.#quiet.unsettled(unit, clock) : undefined);
    if (waiting !== undefined) return this.#partial(unit, waiting);
    if (unit.unreadable !== undefined) return this.#fresh(unit, unreadable(unit.unreadable));
    if (!budget.mayBegin()) return this.#fresh(unit, { ...unreadable(''), why: 'it was not verified yet' });
    const interval = saveInterval(this.#units.slice(-8).map(modifiedAt));
    const judgement = await judgeContent(dir, unit, {
      ...content,
      goOn: budget.goOn,
      durable: !readOnly,
      ...(interval === undefined ? {} : { saveIntervalMs: interval }),
      ...(options.signal && { signal: options.signal }),
    });
    if (!judgement) return undefined;
    if (await this.#changed(unit)) return this.#partial(unit, 'it changed while it was being verified');
    const fresh = this.#fresh(unit, judgement);
    const known = await this.#knownOf(unit, fresh);
    const step = known?.step ?? (await this.#stepOf(unit, options.step));
    const manifest = { ...inherit(fresh, known), ...(step === undefined ? {} : { step }) };
    if (judgement.lasting && !readOnly) await standings.save(manifest, await this.#parts.shelf.list());
    return manifest;
  }

  /** What was known of these files before the host went down, or of their content when it lay in the vault. */
  async #knownOf(unit: Unit, fresh: Manifest): Promise<Manifest | undefined> {
    const { shelf, standings } = this.#parts;
    return (await standings.ofFiles(unit)) ?? (await standings.ofSameBytes(fresh.files, await shelf.list()));
  }

  #partial(unit: Unit, why: string): Manifest {
    return this.#fresh(unit, { ...unreadable(why), standing: 'partial', why });
  }

  #fresh(unit: Unit, judgement: Judgement): Manifest {
    return this.#parts.standings.fresh(unit, judgement, this.isOurs(unit) ? this.#parts.runId : undefined);
  }

  async #changed(unit: Unit): Promise<boolean> {
    for (let at = 0; at < unit.files.length; at += statsAtOnce) {
      const some = unit.files.slice(at, at + statsAtOnce);
      const now = await Promise.all(some.map((file) => stampOf(this.#parts.dir, file.path)));
      if (some.some((file, index) => !sameStat(file, now[index]))) return true;
    }
    return false;
  }

  async #stepOf(unit: Unit, now: number | undefined): Promise<number | undefined> {
    const recorded = await recordedStep(this.#parts.dir, this.#layout, unit);
    if (recorded !== undefined || !this.isOurs(unit)) return recorded;
    const seen = this.#quiet.stepAt(unit);
    return stepOf({
      mayBeStep: unit.mayBeStep,
      ...(unit.number === undefined ? {} : { number: unit.number }),
      ...(seen === undefined ? {} : { seen }),
      ...(now === undefined ? {} : { now }),
    });
  }

  #factOf(unit: Unit, manifest: Manifest): CheckpointFact {
    return {
      id: unit.id,
      path: path.join(this.#parts.dir, unit.id),
      ...(manifest.step === undefined ? {} : { step: manifest.step }),
      ...(unit.number === undefined ? {} : { number: unit.number }),
      modifiedAt: modifiedAt(unit),
      sizeBytes: sizeOf(unit),
      standing: manifest.standing,
      why: manifest.why,
      ours: this.isOurs(unit) || manifest.writtenByRun === this.#parts.runId,
      ...(unit.inPlace && { inPlace: true }),
      ...(isPinned(this.#pins, manifest.files) && { pinned: true }),
    };
  }
}
