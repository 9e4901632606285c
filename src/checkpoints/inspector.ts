import path from 'node:path';
import type { CheckpointFact } from '../policy/checkpoint.js';
import { stampOf } from '../util/os/dir-walk.js';
import type { Origin } from './baseline.js';
import { incomplete, judgeContent, unreadable, type Judgement } from './judge.js';
import type { Layout } from './layouts/layout.js';
import { isHidden } from './layouts/names.js';
import type { Manifest } from './manifest.js';
import { Quiet } from './quiet.js';
import type { Scanner } from './scan.js';
import type { Standings } from './standings.js';
import { stepOf } from './step.js';
import { recordedStep } from './step-file.js';
import { modifiedAt, sameStat, sizeOf, type Unit } from './unit.js';

export interface LookOptions {
  readonly live: boolean;
  readonly step?: number;
  readonly budgetMs: number;
}

export interface InspectorParts {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  readonly scanner: Scanner;
  readonly standings: Standings;
  readonly origin: Origin;
  readonly runId: string;
  readonly settleMs: number;
  /** Nothing may be written. */
  readonly readOnly: boolean;
  readonly clock: { now(): number; mono(): number };
}

/** Goes from what lies in the folder to what it is worth. */
export class Inspector {
  readonly #parts: InspectorParts;
  readonly #quiet: Quiet;
  #layout: Layout;
  #units: readonly Unit[] = [];
  #foreign: readonly string[] = [];

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
    this.#quiet.see(this.#units, clock.mono(), options.live ? options.step : undefined);
    const began = clock.mono();
    const inBudget = (): boolean => clock.mono() - began < options.budgetMs;
    let judged = 0;
    const budget = {
      mayBegin: () => options.budgetMs > 0 && (judged++ === 0 || inBudget()),
      // a live look is in nobody's way: it reads to the end what it began
      goOn: () => options.live || inBudget(),
    };
    const facts: CheckpointFact[] = [];
    for (const [index, unit] of [...this.#units.entries()].reverse()) {
      const isNewest = index === this.#units.length - 1;
      // only the newest can have been cut off by the death of its writer
      const older = isNewest && !options.live ? this.#units.slice(0, index) : undefined;
      const valid = await this.#parts.standings.valid(unit);
      const manifest = valid ?? (await this.#judge(unit, older, options, budget));
      if (manifest) facts.push(this.#factOf(unit, manifest));
    }
    return facts.reverse();
  }

  /** A manifest that still holds, else one that says nothing but the files. */
  async manifestOf(unit: Unit): Promise<Manifest> {
    return (await this.#parts.standings.valid(unit)) ?? this.#fresh(unit, unreadable(''));
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
    const { clock, dir, readOnly, standings } = this.#parts;
    const waiting =
      incomplete(this.#layout, unit, older) ??
      (options.live ? await this.#quiet.unsettled(unit, clock) : undefined);
    if (waiting !== undefined) return this.#partial(unit, waiting);
    if (unit.unreadable !== undefined) return this.#fresh(unit, unreadable(unit.unreadable));
    if (!budget.mayBegin()) return this.#fresh(unit, { ...unreadable(''), why: 'it was not verified yet' });
    const judgement = await judgeContent(dir, unit, { goOn: budget.goOn, durable: !readOnly });
    if (!judgement) return undefined;
    if (await this.#changed(unit)) return this.#partial(unit, 'it changed while it was being verified');
    const step = await this.#stepOf(unit, options.step);
    const manifest = { ...this.#fresh(unit, judgement), ...(step === undefined ? {} : { step }) };
    if (judgement.lasting && !readOnly) await standings.save(manifest);
    return manifest;
  }

  #partial(unit: Unit, why: string): Manifest {
    return this.#fresh(unit, { ...unreadable(why), standing: 'partial', why });
  }

  #fresh(unit: Unit, judgement: Judgement): Manifest {
    return this.#parts.standings.fresh(unit, judgement, this.isOurs(unit) ? this.#parts.runId : undefined);
  }

  async #changed(unit: Unit): Promise<boolean> {
    for (const file of unit.files) {
      const now = await stampOf(this.#parts.dir, file.path);
      if (!now || !sameStat(file, now)) return true;
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
    };
  }
}
