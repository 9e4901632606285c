import type { CheckpointFact, Standing } from '../policy/checkpoint.js';
import { isUsable } from '../policy/checkpoint.js';
import type { Judgement } from './judge-content.js';
import type { Manifest, Manifests } from './manifest.js';
import { isProven, noProof } from './proof.js';
import { sameBytes, speaksOf, type DigestedFile, type Spare } from './spares/spare.js';
import { sameFiles, type Unit } from './unit.js';

/** Proof is on disk at the latest this much later; a crash loses no more of it. */
const flushProofMs = 10_000;

/** Whether what is known of the files in the folder holds for a spare of them: their damage is none of a copy's. Pure. */
export const speaksFor = ({ files, standing }: Manifest, spare: Spare): boolean =>
  speaksOf(files, spare.files) && !(standing === 'corrupt' && spare.how === 'copy');

/** What each checkpoint is worth: manifests that still hold, and the proof that healthy training adds. */
export class Standings {
  readonly #manifests: Manifests;
  readonly #provenAfterMs: number;
  readonly #clock: { now(): number; mono(): number };
  readonly #bootId: string;
  /** Under which id what is known of a spare is kept: the checkpoint's as long as it speaks of the same files. */
  readonly #keptUnder = new Map<string, string>();
  /** By id, when those were judged that the next credit counts for. */
  #creditable = new Map<string, number>();
  readonly #unsaved = new Set<string>();
  #flushedAt: number;

  constructor(
    manifests: Manifests,
    provenAfterMs: number,
    clock: { now(): number; mono(): number },
    bootId: string,
  ) {
    this.#manifests = manifests;
    this.#bootId = bootId;
    this.#provenAfterMs = provenAfterMs;
    this.#clock = clock;
    this.#flushedAt = clock.mono();
  }

  /** The manifest, if the files are still those it speaks of, and the host did not go down before they were flushed. */
  async valid(unit: Unit): Promise<Manifest | undefined> {
    const manifest = await this.ofFiles(unit);
    const lasts = manifest?.synced === true || manifest?.boot === this.#bootId;
    return lasts ? manifest : undefined;
  }

  /** The manifest, if the files have the stat that it speaks of. */
  async ofFiles(unit: Unit): Promise<Manifest | undefined> {
    const manifest = await this.#manifests.get(unit.id);
    return manifest && unit.files.length > 0 && sameFiles(manifest.files, unit.files) ? manifest : undefined;
  }

  /** What is known of a spare; at least that it was verified when it was taken. */
  async ofSpare(spare: Spare): Promise<Manifest> {
    const live = await this.#manifests.get(spare.of);
    const own = await this.#manifests.get(spare.id);
    // what was found of its own bytes is known of nothing else
    const known = own?.standing !== 'corrupt' && live && speaksFor(live, spare) ? live : own;
    const manifest =
      known ??
      ({
        ...{ schemaVersion: 1, id: spare.id, standing: 'verified', why: 'it was verified when it was kept' },
        ...{ files: spare.files, depth: 'deep', proof: noProof, judgedAt: spare.takenAt, synced: true },
        ...(spare.step !== undefined && { step: spare.step }),
        ...(spare.runId !== '' && { writtenByRun: spare.runId }),
      } satisfies Manifest);
    if (!known) await this.#manifests.put(manifest, false);
    this.#keptUnder.set(spare.id, manifest.id);
    return manifest;
  }

  /** What was known of a spare is known of these files, which hold its bytes, flushed. */
  async restored(unit: Unit, spare: Spare): Promise<void> {
    const digests = new Map(spare.files.map((file) => [file.path, file.digest] as const));
    const files = unit.files.map(({ path, size, mtimeNs, inode }) => {
      const digest = digests.get(path);
      return { path, size, mtimeNs, inode, ...(digest === undefined ? {} : { digest }) };
    });
    if (!speaksOf(files, spare.files)) return;
    const known = await this.ofSpare(spare);
    await this.save({ ...known, id: unit.id, files, synced: true, boot: this.#bootId }, [spare]);
  }

  /** What was known of files of the same content: their standing, their proof and their step are these files' too. */
  async ofSameBytes(files: readonly DigestedFile[], spares: readonly Spare[]): Promise<Manifest | undefined> {
    const spare = spares.find((one) => sameBytes(one.files, files));
    return spare && this.ofSpare(spare);
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
      boot: this.#bootId,
      ...(judgement.synced === true && { synced: true }),
      ...(writtenByRun === undefined ? {} : { writtenByRun }),
    };
  }

  /**
   * @param spares of all checkpoints: what was known of files that are now others goes on being known of their spare
   */
  async save(manifest: Manifest, spares: readonly Spare[] = []): Promise<void> {
    const before = await this.#manifests.get(manifest.id);
    const spare = before && spares.find((one) => one.of === before.id && speaksFor(before, one));
    if (before && spare && !speaksFor(manifest, spare)) {
      await this.#put({ ...before, id: spare.id });
      this.#keptUnder.set(spare.id, spare.id);
    }
    await this.#put(manifest);
  }

  async #put(manifest: Manifest): Promise<void> {
    this.#unsaved.delete(manifest.id);
    await this.#manifests.put(manifest);
  }

  /** @param spares as for {@link save} */
  async mark(
    manifest: Manifest,
    standing: Standing,
    why: string,
    spares: readonly Spare[] = [],
  ): Promise<void> {
    await this.save({ ...manifest, standing, why }, spares);
  }

  /**
   * Healthy time and steps since the last credit count for what was verified by then.
   * @param facts of the last inspection, oldest first
   */
  async credit(facts: readonly CheckpointFact[], healthy: { ms: number; steps: number }): Promise<void> {
    const trusted = facts.flatMap((fact) => {
      const manifest = this.#manifests.known(this.#keptUnder.get(fact.id) ?? fact.id);
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
