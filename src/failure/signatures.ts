import type { FailureKind } from './types.js';

/**
 * What a known failure looks like. Data: adding one is adding an entry here and its sample in fixtures/logs, and touches
 * nothing else. The order is the order of precedence.
 *
 * Patterns must take linear time: no quantifier inside a quantified group, and `{0,n}` instead of `*` before something
 * that may fail.
 */
export interface Signature {
  readonly id: string;
  readonly kind: FailureKind;
  /**
   * `exception`: the pattern is tried on the exception that ended a Python program, as `package.Type: message`.
   * `line`: on each of the last lines of the logs.
   */
  readonly where: 'exception' | 'line';
  readonly pattern: RegExp;
  /** For `line`: another line that must be there too. */
  readonly also?: RegExp;
  /** Only with these exit statuses. */
  readonly exitCodes?: readonly number[];
  /**
   * Whether an exception that was caught and raised anew as another (a cause in Python's words) counts too: true where
   * the surroundings failed, false where the program may have had an answer of its own.
   */
  readonly inCause?: boolean;
  /** What happened, in words, as the start of a sentence that goes on with the evidence. */
  readonly explanation: string;
  readonly advice?: string;
  /** The sample in fixtures/logs that shows it. */
  readonly sample: string;
}

export const signatures: readonly Signature[] = [
  {
    id: 'gpu-out-of-memory',
    kind: 'gpu-memory',
    where: 'exception',
    pattern:
      /^torch\.(?:cuda\.)?OutOfMemoryError\b|\b(?:CUDA|HIP)(?: error:)? out of memory\b|\bCUBLAS_STATUS_ALLOC_FAILED\b|\bRESOURCE_EXHAUSTED: Out of memory\b|\bOOM when allocating tensor\b/,
    inCause: true,
    explanation: 'the GPU ran out of memory',
    advice: 'if it comes back at the same step, use a smaller batch or shorter sequences',
    sample: 'gpu-memory-torch',
  },
  {
    id: 'gpu-out-of-memory-native',
    kind: 'gpu-memory',
    where: 'line',
    pattern: /^ {0,8}what\(\): {1,8}(?:CUDA|HIP)(?: error:)? out of memory\b/,
    explanation: 'the GPU ran out of memory',
    advice: 'if it comes back at the same step, use a smaller batch or shorter sequences',
    sample: 'gpu-memory-native',
  },
  {
    id: 'data-loader-killed',
    kind: 'host-memory',
    where: 'exception',
    pattern: /\bDataLoader worker \(pid[^)]{0,80}\) is killed by signal: Killed\b/,
    inCause: true,
    explanation: 'a data-loader process was killed, as a rule because the machine ran out of memory',
    advice: 'fewer data-loader workers or a smaller prefetch need less memory',
    sample: 'host-memory-data-loader',
  },
  {
    id: 'disk-full',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 28\]|\bNo space left on device\b|\bStorageFull\b/,
    inCause: true,
    explanation: 'the disk is full',
    advice: 'free some space; the run goes on by itself while it still retries',
    sample: 'storage-disk-full',
  },
  {
    id: 'quota-exceeded',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 122\]|\bDisk quota exceeded\b/,
    inCause: true,
    explanation: 'the disk quota is used up',
    advice: 'free some space; the run goes on by itself while it still retries',
    sample: 'storage-quota-exceeded',
  },
  {
    id: 'input-output-error',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 5\] |\bfailed with Input\/output error\b/,
    inCause: true,
    explanation: 'the storage failed to read or write',
    advice: 'look at the system log (dmesg) and at the file server',
    sample: 'storage-input-output-error',
  },
  {
    id: 'stale-file-handle',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 116\]|\bStale file handle\b/,
    inCause: true,
    explanation: 'the file server lost track of an open file',
    sample: 'storage-stale-file-handle',
  },
  {
    id: 'read-only',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 30\]|\bRead-only file system\b/,
    inCause: true,
    explanation: 'the file system takes no writes',
    advice:
      'a file system that turned read-only by itself has found an error: look at the system log (dmesg)',
    sample: 'storage-read-only',
  },
  {
    id: 'torch-writer',
    kind: 'storage',
    where: 'exception',
    pattern:
      /\bPytorchStreamWriter failed writing file\b|\binline_container\.cc:\d{1,6}\] \. unexpected pos\b/,
    inCause: true,
    explanation: 'torch.save could not write its file, as a rule because the disk is full',
    advice: 'look at the free space and the quota of the checkpoint folder',
    sample: 'storage-torch-writer',
  },
  {
    id: 'keyboard-interrupt',
    kind: 'stopped',
    where: 'exception',
    pattern: /^KeyboardInterrupt\b/,
    explanation: 'the training was interrupted (SIGINT, as by Ctrl-C)',
    sample: 'stopped-keyboard-interrupt',
  },
  {
    id: 'loss-not-finite-raised',
    kind: 'numeric',
    where: 'exception',
    pattern:
      /^FloatingPointError\b|\bloss\b[^\n]{0,60} (?:is|was|became) (?:nan|inf|infinite|not finite|non-finite)\b|\breturned nan values in its \d{1,3}th output\b/i,
    explanation: 'the training stopped itself on numbers that are none',
    advice: 'a lower learning rate, gradient clipping or bf16 instead of fp16 are the usual cures',
    sample: 'numeric-raised',
  },
  {
    id: 'syntax-error',
    kind: 'code',
    where: 'exception',
    pattern: /^SyntaxError\b/,
    explanation: 'Python could not read the code',
    advice: 'mend the code; a retry would end the same way',
    sample: 'code-syntax-error',
  },
  {
    id: 'indentation-error',
    kind: 'code',
    where: 'exception',
    pattern: /^(?:IndentationError|TabError)\b/,
    explanation: 'Python could not read the code',
    advice: 'mend the code; a retry would end the same way',
    sample: 'code-indentation-error',
  },
  {
    id: 'module-not-found',
    kind: 'code',
    where: 'exception',
    pattern: /^ModuleNotFoundError\b/,
    explanation: 'Python could not import a module',
    advice: 'install it, or activate the environment that has it',
    sample: 'code-module-not-found',
  },
  {
    id: 'import-error',
    kind: 'code',
    where: 'exception',
    pattern: /^ImportError\b/,
    explanation: 'Python could not import something',
    advice: 'look whether the installed versions fit together',
    sample: 'code-import-error',
  },
  {
    id: 'module-to-run-missing',
    kind: 'code',
    where: 'line',
    pattern:
      /^\S{0,200}python[\d.]{0,8}: (?:No module named \S|Error while finding module specification for )/,
    exitCodes: [1],
    explanation: 'Python could not find the module it was told to run',
    advice: 'install it, or run from the folder that has it',
    sample: 'code-module-to-run-missing',
  },
  {
    id: 'script-missing',
    kind: 'command',
    where: 'line',
    pattern: /^\S{0,200}python[\d.]{0,8}: can't (?:open file|find '__main__' module)/,
    exitCodes: [1, 2],
    explanation: 'Python could not open the script',
    advice: "look at the script's name and the folder the command runs in",
    sample: 'command-script-missing',
  },
  {
    id: 'argparse-usage',
    kind: 'config',
    where: 'line',
    pattern: /^[^\s:][^:]{0,200}: error: /,
    also: /^usage: /i,
    exitCodes: [2],
    explanation: 'the program does not take these arguments',
    advice: 'mend the command line; a retry would end the same way',
    sample: 'config-argparse',
  },
  {
    id: 'click-usage',
    kind: 'config',
    where: 'line',
    pattern: /^Error: /,
    also: /^Usage: /,
    exitCodes: [2],
    explanation: 'the program does not take these arguments',
    advice: 'mend the command line; a retry would end the same way',
    sample: 'config-click',
  },
  {
    id: 'loss-not-finite-said',
    kind: 'numeric',
    where: 'line',
    pattern: /\bloss is (?:nan|-?inf)\b[^\n]{0,40}\b(?:stopping|exiting|aborting)\b/i,
    exitCodes: [1],
    explanation: 'the training stopped itself on numbers that are none',
    advice: 'a lower learning rate, gradient clipping or bf16 instead of fp16 are the usual cures',
    sample: 'numeric-loss-is-nan',
  },
  {
    id: 'disk-full-said',
    kind: 'storage',
    where: 'line',
    pattern: /: (?:No space left on device|Disk quota exceeded)$/,
    explanation: 'the disk is full',
    advice: 'free some space; the run goes on by itself while it still retries',
    sample: 'storage-disk-full-shell',
  },
];
