import type { Signature } from './signature.js';

const mendCode = 'mend the code; a retry would end the same way';
const mendCommand = 'mend the command line; a retry would end the same way';
const edited =
  'the model or the optimizer was changed since the checkpoint was saved: take the change back, or start a run of its own';

/** Code and command lines that would fail the same way again, and checkpoints that do not fit the code. */
export const code: readonly Signature[] = [
  {
    id: 'state-dict-misfit',
    kind: 'code',
    where: 'exception',
    pattern:
      /\bError\(s\) in loading state_dict for \S|\bloaded state dict (?:contains a parameter group|has a different number of parameter groups)\b/,
    inCause: true,
    loading: 'misfit',
    explanation: 'the checkpoint does not fit the program',
    advice: edited,
    sample: 'code-state-dict-misfit',
  },
  {
    id: 'weights-only-refusal',
    kind: 'code',
    where: 'exception',
    pattern:
      /\bWeights only load failed\. (?:This file can still be loaded\b|[^]{0,2000}\bUnsupported (?:global|class)\b)/,
    inCause: true,
    loading: 'misfit',
    explanation: 'torch.load refuses what the checkpoint holds besides tensors',
    advice:
      'torch 2.6 and newer load tensors only: save plain data, allow the class by torch.serialization.add_safe_globals, or load with weights_only=False',
    sample: 'code-weights-only',
  },
  {
    id: 'distributed-misfit',
    kind: 'code',
    where: 'exception',
    pattern:
      /^RuntimeError: Missing key in checkpoint state_dict: |\bSize mismatch between saved \S{1,80} and current: /,
    inCause: true,
    loading: 'misfit',
    explanation: 'the checkpoint does not fit the program',
    advice: edited,
    sample: 'code-dcp-misfit',
  },
  {
    id: 'keras-misfit',
    kind: 'code',
    where: 'exception',
    pattern:
      /^ValueError: A total of \d{1,9} objects could not be loaded\b|^ValueError: Layer count mismatch when loading weights\b|^ValueError: Layer '[^']{1,200}' expected \d{1,9} variables, but received \d/,
    loading: 'misfit',
    explanation: 'the checkpoint does not fit the program',
    advice: edited,
    sample: 'code-keras-misfit',
  },
  {
    id: 'jax-misfit',
    kind: 'code',
    where: 'exception',
    pattern:
      /^ValueError: The target dict keys and state dict keys do not match\b|\bon-disk value metadata tree structures do not match\b|^ValueError: Requested shape: [^\n]{1,200} is not compatible with the stored shape\b/,
    inCause: true,
    loading: 'misfit',
    explanation: 'the checkpoint does not fit the program',
    advice: edited,
    sample: 'code-flax-misfit',
  },
  {
    id: 'syntax-error',
    kind: 'code',
    where: 'exception',
    pattern: /^SyntaxError\b/,
    explanation: 'Python could not read the code',
    advice: mendCode,
    sample: 'code-syntax-error',
  },
  {
    id: 'indentation-error',
    kind: 'code',
    where: 'exception',
    pattern: /^(?:IndentationError|TabError)\b/,
    explanation: 'Python could not read the code',
    advice: mendCode,
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
    id: 'open-files',
    kind: 'exception',
    where: 'exception',
    pattern: /\[Errno 24\] |\breceived 0 items of ancdata\b/,
    inCause: true,
    explanation: 'the process has too many files open',
    advice:
      "raise `ulimit -n`, or call torch.multiprocessing.set_sharing_strategy('file_system'); files that are never closed do it too",
    sample: 'exception-open-files',
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
    advice: mendCommand,
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
    advice: mendCommand,
    sample: 'config-click',
  },
];
