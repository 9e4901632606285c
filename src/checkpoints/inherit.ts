import type { Manifest } from './manifest.js';
import { otherBytes } from './verify/against.js';

/** A new judgement takes over what was known of the same files, unless their bytes are others. Pure. */
export function inherit(fresh: Manifest, known: Manifest | undefined): Manifest {
  if (!known) return fresh;
  const seen = new Map(fresh.files.flatMap(({ path: name, digest }) => (digest === undefined ? [] : [[name, digest] as const]))); // prettier-ignore
  const changed = otherBytes(known.files, seen);
  if (changed !== undefined) return { ...fresh, standing: 'corrupt', why: changed };
  const { standing, proof, writtenByRun } = known;
  const holds = fresh.standing === 'verified' && ['safe', 'tainted', 'suspect'].includes(standing);
  return {
    ...fresh,
    ...(holds && { standing, why: known.why }),
    ...(fresh.standing === 'verified' && { proof }),
    ...(writtenByRun !== undefined && { writtenByRun }),
  };
}
