import { writersUnder, type FileWriter } from '../util/os/dir-writers.js';
import { changedAt, signatureOf, type Unit } from './unit.js';

interface Sight {
  readonly signature: string;
  /** Monotonic ms. */
  readonly since: number;
  /** The heartbeat step when this state of it was first seen. */
  readonly step?: number;
}

/** Tells which checkpoints are still being written while the worker lives. */
export class Quiet {
  readonly #dir: string;
  readonly #settleMs: number;
  readonly #sights = new Map<string, Sight>();
  #writers: Promise<readonly FileWriter[]> | undefined;

  constructor(dir: string, settleMs: number) {
    this.#dir = dir;
    this.#settleMs = settleMs;
  }

  /** A new look at everything there is. */
  see(units: readonly Unit[], mono: number, step: number | undefined): void {
    this.#writers = undefined;
    const ids = new Set(units.map((unit) => unit.id));
    for (const id of this.#sights.keys()) if (!ids.has(id)) this.#sights.delete(id);
    for (const unit of units) {
      const signature = signatureOf(unit);
      if (this.#sights.get(unit.id)?.signature === signature) continue;
      this.#sights.set(unit.id, { signature, since: mono, ...(step === undefined ? {} : { step }) });
    }
  }

  /** The heartbeat step when the unit, as it is, was first seen. */
  stepAt(unit: Unit): number | undefined {
    const sight = this.#sights.get(unit.id);
    return sight?.signature === signatureOf(unit) ? sight.step : undefined;
  }

  /** Why it still counts as being written; undefined: it does not. */
  async unsettled(unit: Unit, clock: { now(): number; mono(): number }): Promise<string | undefined> {
    const since = this.#sights.get(unit.id)?.since ?? clock.mono();
    const age = clock.now() - changedAt(unit);
    if (clock.mono() - since < this.#settleMs && age < this.#settleMs) return 'it is still being written';
    this.#writers ??= writersUnder(this.#dir);
    const writer = writerOf(unit, this.#dir, await this.#writers);
    return writer && `process ${writer.pid} has ${writer.path} open for writing`;
  }
}

export function writerOf(unit: Unit, dir: string, writers: readonly FileWriter[]): FileWriter | undefined {
  const paths = unit.members.map((entry) => `${dir}/${entry.path}`);
  return writers.find((writer) =>
    paths.some((path) => writer.path === path || writer.path.startsWith(`${path}/`)),
  );
}
