import path from 'node:path';
import { type CheckpointFact, isUsable } from '../../policy/checkpoint.js';
import type { SeenUnit } from '../inspector.js';
import { oldestFirst } from '../order.js';
import { isPinned, type Pin } from '../pins.js';
import { speaksFor, type Standings } from '../standings.js';
import { sameFiles } from '../unit.js';
import { doneIntents } from '../rollback/journal.js';
import { passedBy } from './passed.js';
import type { Shelf } from './shelf.js';
import { damageOf, savedAt, spareSize, type HeldSpare } from './spare.js';

export interface SeenSpare {
  readonly held: HeldSpare;
  readonly fact: CheckpointFact;
  /** The folder holds the same bytes, so that it need not be told of. */
  readonly inFolder: boolean;
}

/**
 * The spares of a vault as the policy sees them, oldest first: by the standing of the checkpoint that they were taken
 * of, as long as they are as they were kept.
 */
export async function factsOfSpares(
  parts: {
    readonly dir: string;
    readonly runId: string;
    readonly shelf: Shelf;
    readonly standings: Standings;
  },
  folder: readonly SeenUnit[],
  pins: readonly Pin[],
): Promise<readonly SeenSpare[]> {
  const byId = new Map(folder.map((one) => [one.unit.id, one] as const));
  const seen: SeenSpare[] = [];
  const spares = await parts.shelf.list();
  const { vault } = parts.shelf;
  const done = vault === undefined || spares.length === 0 ? undefined : await doneIntents(vault);
  for (const spare of spares) {
    const manifest = await parts.standings.ofSpare(spare);
    const live = byId.get(spare.of);
    // a link to what was just looked at need not be looked at again
    const linked = spare.how === 'links' && live && sameFiles(live.unit.files, spare.files);
    const held = await parts.shelf.held(spare, linked ? live.unit.files : undefined);
    const damage = damageOf(held);
    const step = manifest.step ?? spare.step;
    // a damaged journal is said by who wants to reverse it
    const passed = done?.ok && isUsable(manifest.standing) ? passedBy(spare, done.value, spares) : undefined;
    const fact: CheckpointFact = {
      id: spare.id,
      path: path.join(parts.dir, spare.of),
      ...(step === undefined ? {} : { step }),
      ...(spare.number === undefined ? {} : { number: spare.number }),
      modifiedAt: savedAt(spare),
      sizeBytes: spareSize(spare),
      standing: damage !== undefined ? 'corrupt' : passed ? 'suspect' : manifest.standing,
      why:
        damage ??
        (passed ? `the rollback ${passed.tx} went back past it` : `kept in the vault; ${manifest.why}`),
      ours: spare.runId === parts.runId,
      spare: true,
      // hard links would change with what is written in place
      ...(spare.how === 'copy' && { inPlace: true }),
      ...(isPinned(pins, spare.files) && { pinned: true }),
    };
    seen.push({ held, fact, inFolder: live !== undefined && speaksFor(live.manifest, spare) });
  }
  const facts = oldestFirst(seen.map((one) => one.fact));
  return seen.sort((a, b) => facts.indexOf(a.fact) - facts.indexOf(b.fact));
}
