import type { FailureKind } from './types.js';

/** A kind of failure in words. */
export interface KindWords {
  /** What it means, as the end of the sentence "this kind says that …". */
  readonly meaning: string;
  /** What a person usually does about it; undefined where there is nothing to do. */
  readonly advice?: string;
}

/** Every kind in words, in the order of DESIGN section 6. */
export const kindsTable: Readonly<Record<FailureKind, KindWords>> = {
  success: { meaning: 'the training came to its end' },
  command: {
    meaning: 'there is no such command, or it cannot be run',
    advice: 'look at its name, its permissions, PATH and the folder it runs in',
  },
  config: {
    meaning: 'the program does not take these arguments',
    advice: 'mend the command line; a retry would end the same way',
  },
  code: {
    meaning: 'the code cannot be loaded, or no longer fits the checkpoint it was to go on from',
    advice: 'mend the code or the environment; a retry would end the same way',
  },
  exception: {
    meaning: 'the program stopped on an error of its own',
    advice: 'the innermost frame of your own code is where to look first',
  },
  numeric: {
    meaning: 'the numbers of the training became NaN or infinite',
    advice: 'a lower learning rate, gradient clipping or bf16 instead of fp16 are the usual cures',
  },
  'gpu-memory': {
    meaning: 'the memory of a GPU was too small',
    advice: 'if it comes back at the same step, use a smaller batch or shorter sequences',
  },
  'host-memory': {
    meaning: 'the memory of the host, or its share of it, ran out',
    advice: 'fewer data-loader workers, a smaller batch, or a higher memory limit',
  },
  gpu: {
    meaning: 'a GPU failed or cannot be reached',
    advice: 'look at `nvidia-smi -q` and `dmesg`; a reset or a restart of the machine may be needed',
  },
  network: {
    meaning: 'a connection between ranks, or to a server, failed',
    advice: 'look at the logs of the other ranks first: one that died makes the rest wait in vain',
  },
  storage: {
    meaning: 'a disk or file server was full, read-only or failing',
    advice: 'free some space, or look at the file server',
  },
  checkpoint: {
    meaning: 'a checkpoint could not be read',
    advice: '`trainguard checkpoints verify` says which of them are whole',
  },
  'not-resumed': {
    meaning: 'the training began far below the step it was to go on from',
    advice: 'name the flag that makes the program resume (--resume-args)',
  },
  hang: {
    meaning: 'the training showed no progress for too long',
    advice: 'stacks.txt of the attempt shows where its threads stood',
  },
  preempted: {
    meaning: 'the machine was taken back by whoever lends it',
    advice: 'nothing; the run goes on where it stood',
  },
  stopped: { meaning: 'a person stopped it', advice: '`trainguard resume` goes on with it' },
  killed: {
    meaning: 'a signal ended it, and nothing says why',
    advice: 'look at the system log (dmesg) and at the scheduler',
  },
  unknown: { meaning: 'it ended and did not say why', advice: "look at the end of the attempt's logs" },
};
