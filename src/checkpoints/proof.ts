/** What speaks for a checkpoint: healthy training after it, added up over attempts. */
export interface Proof {
  readonly healthyMs: number;
  readonly healthySteps: number;
  /** Verified checkpoints that are newer. */
  readonly furtherCheckpoints: number;
}

export const noProof: Proof = { healthyMs: 0, healthySteps: 0, furtherCheckpoints: 0 };

/** PaLM went back about 100 steps before a spike; half of it passing in health is taken as proof. */
const provenSteps = 50;

/**
 * Whether a verified checkpoint is now safe: enough healthy time, and enough healthy steps or one further verified
 * checkpoint, whichever comes first. Pure.
 * @param provenAfterMs 2 minutes by default
 */
export const isProven = (proof: Proof, provenAfterMs: number): boolean =>
  proof.healthyMs >= provenAfterMs && (proof.healthySteps >= provenSteps || proof.furtherCheckpoints >= 1);
