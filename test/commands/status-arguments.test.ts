import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusArguments } from '../../src/commands/status-arguments.js';
import { buildProgram } from '../../src/program.js';

// The reader may give up on anything, but what it reads must be what the whole tree of verbs makes of it.

const read: readonly string[][] = [
  [],
  ['train'],
  ['train', '--json'],
  ['--json', 'train'],
  ['--json'],
  ['--exit-code'],
  ['--json', '--json', '--exit-code', '--quiet', '--no-color'],
  ['--state-dir', 'a b'],
  ['--state-dir=a=b'],
  ['--config', 'x.yaml', 'train', '--state-dir=y'],
  ['--state-dir', 'a', '--state-dir=b'],
  ['help'],
  ['status'],
  ['constructor'],
];
for (const words of read) {
  test(`read: status ${words.join(' ')}`, async () => {
    assert.deepEqual(statusArguments(['status', ...words]), await byTree(['status', ...words]));
  });
}

const left: readonly string[][] = [
  ['run', '--', 'status'],
  ['--json', 'status'],
  ['--version'],
  [],
  ...[
    ['--help'],
    ['-h'],
    ['--', 'train'],
    ['one', 'two'],
    [''],
    ['-'],
    ['--jsn'],
    ['--json=yes'],
    ['--json='],
    ['--color'],
    ['--no-json'],
    ['--constructor'],
    ['--__proto__=x'],
    ['--state-dir'],
    ['--state-dir='],
    ['--state-dir', ''],
    ['--state-dir', '--json'],
    ['--config', '--', 'x'],
    ['-f'],
    ['train', '--to', 'best'],
  ].map((words) => ['status', ...words]),
];
for (const words of left) {
  test(`left to the tree: ${words.join(' ')}`, () => {
    assert.equal(statusArguments(words), undefined);
  });
}

/** What the tree of verbs would call `status` with. */
async function byTree(words: readonly string[]): Promise<unknown> {
  const program = buildProgram(() => undefined);
  let called: unknown;
  program.commands
    .find((command) => command.name() === 'status')
    ?.action((name: string | undefined, options: object) => {
      called = { name, options };
    });
  await program.parseAsync(['node', 'trainguard', ...words]);
  return called;
}
