import type { CheckpointFact, Standing } from '../policy/checkpoint.js';
import { isUsable } from '../policy/checkpoint.js';
import type { Judgement } from './judge.js';
import type { Manifest, Manifests } from './manifest.js';
import { isProven, noProof } from './proof.js';
import { sameFiles, type Unit } from './unit.js';

/** Proof is on disk at the latest this much later; a crash loses no more of it. */
const flushProofMs = 10_000;

/** What each checkpoint is worth: manifests that still hold, and the proof that healthy training adds. */
export class Standings {
  readonly #manifests: Manifests;
  readonly #provenAfterMs: number;
  readonly #clock: { now(): number; mono(): number };
  /** By id, when those were judged that the next credit counts for. */
  #creditable = new Map<string, number>();
  readonly #unsaved = new Set<string>();
  #flushedAt: number;

  constructor(manifests: Manifests, provenAfterMs: number, clock: { now(): number; mono(): number }) {
    this.#manifests = manifests;
    this.#provenAfterMs = provenAfterMs;
    this.#clock = clock;
    this.#flushedAt = clock.mono();
  }

  /** The manifest, if the files are still those it speaks of. */
  async valid(unit: Unit): Promise<Manifest | undefined> {
    const manifest = await this.#manifests.get(unit.id);
    return manifest && unit.files.length > 0 && sameFiles(manifest.files, unit.files) ? manifest : undefined;
  }

  /** Whether a manifest was read before; it may be void. */
  isKnown(id: string): boolean {
    return this.#manifests.known(id) !== undefined;
  }

  /** A manifest for the files as they are, not saved. */
  fresh(unit: Unit, judgement: Judgement, writtenByRun: string | undefined): Manifest {
    return {
      schemaVersion: 1,
      id: unit.id,
      standing: judgement.standing,
      why: judgement.why,
      files: unit.files.map(({ path, size, mtimeNs, inode }) => {
        const digest = judgement.digests.get(path);
        return { path, size, mtimeNs, inode, ...(digest === undefined ? {} : { digest }) };
      }),
      depth: judgement.depth,
      proof: noProof,
      judgedAt: this.#clock.now(),
      ...(writtenByRun === undefined ? {} : { writtenByRun }),
    };
  }

  async save(manifest: Manifest): Promise<void> {
    this.#unsaved.delete(manifest.id);
    await this.#manifests.put(manifest);
  }

  async mark(manifest: Manifest, standing: Standing, why: string): Promise<void> {
    await this.save({ ...manifest, standing, why });
  }

  /**
   * Healthy time and steps since the last credit count for what was verified by then.
   * @param facts of the last inspection, oldest first
   */
  async credit(facts: readonly CheckpointFact[], healthy: { ms: number; steps: number }): Promise<void> {
    const trusted = facts.flatMap((fact) => {
      const manifest = this.#manifests.known(fact.id);
      return manifest && isUsable(manifest.standing) ? [manifest] : [];
    });
    for (const [index, manifest] of trusted.entries()) {
      if (manifest.standing !== 'verified' || this.#creditable.get(manifest.id) !== manifest.judgedAt)
        continue;
      const proof = {
        healthyMs: manifest.proof.healthyMs + healthy.ms,
        healthySteps: manifest.proof.healthySteps + healthy.steps,
        furtherCheckpoints: Math.max(manifest.proof.furtherCheckpoints, trusted.length - 1 - index),
      };
      if (isProven(proof, this.#provenAfterMs)) {
        await this.mark({ ...manifest, proof }, 'safe', 'healthy training went on after it');
      } else {
        this.#unsaved.add(manifest.id);
        await this.#manifests.put({ ...manifest, proof }, false);
      }
    }
    this.#creditable = new Map(trusted.map(({ id, judgedAt }) => [id, judgedAt]));
    if (this.#clock.mono() - this.#flushedAt >= flushProofMs) await this.flush();
  }

  /** Saves the proof that is only in memory. */
  async flush(): Promise<void> {
    this.#flushedAt = this.#clock.mono();
    for (const id of this.#unsaved) {
      const manifest = this.#manifests.known(id);
      if (manifest) await this.#manifests.put(manifest);
    }
    this.#unsaved.clear();
  }
}
