import type { Signature } from './signature.js';

const badNumbers = 'a lower learning rate, gradient clipping or bf16 instead of fp16 are the usual cures';
const fromOutside = 'the machine was taken back, the training did nothing wrong';

/** A person, a scheduler, or the training itself ended it. */
export const endings: readonly Signature[] = [
  {
    id: 'keyboard-interrupt',
    kind: 'stopped',
    where: 'exception',
    pattern: /^KeyboardInterrupt\b/,
    explanation: 'the training was interrupted (SIGINT, as by Ctrl-C)',
    sample: 'stopped-keyboard-interrupt',
  },
  {
    id: 'slurm-preemption',
    kind: 'preempted',
    where: 'line',
    pattern:
      /\b(?:JOB|STEP) \S{1,40} ON \S{1,200} CANCELLED AT \S{1,40} DUE TO (?:PREEMPTION|NODE FAILURE)\b/,
    saysWhoKilled: 'surely',
    explanation: 'Slurm took the machine back',
    advice: fromOutside,
    sample: 'preempted-slurm',
  },
  {
    id: 'slurm-time-limit',
    kind: 'preempted',
    where: 'line',
    pattern: /\b(?:JOB|STEP) \S{1,40} ON \S{1,200} CANCELLED AT \S{1,40} DUE TO TIME LIMIT\b/,
    saysWhoKilled: 'surely',
    explanation: "the job's time limit in Slurm passed",
    advice: 'a longer --time, or a requeue, lets it go on',
    sample: 'preempted-time-limit',
  },
  {
    id: 'spot-notice',
    kind: 'preempted',
    where: 'line',
    pattern:
      /\bspot (?:instance )?(?:interruption|termination) (?:notice|warning)\b|\b(?:instance|node|machine|vm|pod) (?:was|is being|will be|has been) preempted\b/i,
    saysWhoKilled: 'likely',
    onlyIfKilled: true,
    explanation: 'the machine was taken back by its cloud',
    advice: fromOutside,
    sample: 'preempted-spot',
  },
  {
    id: 'loss-not-finite-raised',
    kind: 'numeric',
    where: 'exception',
    pattern:
      /^FloatingPointError\b|\bloss\b[^\n]{0,60} (?:is|was|became) (?:nan|inf|infinite|not finite|non-finite)\b|\breturned nan values in its \d{1,3}th output\b/i,
    explanation: 'the training stopped itself on numbers that are none',
    advice: badNumbers,
    sample: 'numeric-raised',
  },
  {
    id: 'loss-not-finite-said',
    kind: 'numeric',
    where: 'line',
    pattern: /\bloss is (?:nan|-?inf)\b[^\n]{0,40}\b(?:stopping|exiting|aborting)\b/i,
    exitCodes: [1],
    explanation: 'the training stopped itself on numbers that are none',
    advice: badNumbers,
    sample: 'numeric-loss-is-nan',
  },
];
