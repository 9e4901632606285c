import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import ts from 'typescript';
import { codeBlocks, examplesOf, usable } from '../support/declarations.js';
import { type Doctest, type Outcome, runDoctests, saysTheSame } from '../support/doctest.js';
import { root } from '../support/root.js';

// The examples of the API reference and of docs/library.md do what they say they do.

/** What is given to the examples of a class's members; one that starts with `import` is a program of its own. */
const given: Readonly<Record<string, { readonly before: string; readonly after: string }>> = {
  RecoveryManager: {
    before: `
import { RecoveryManager } from 'trainguard';
const manager = new RecoveryManager();
await manager.registerWorker('w0');
`,
    after: 'await manager.close();',
  },
  RecursiveTrainingRecovery: {
    before: `
import { RecursiveTrainingRecovery } from 'trainguard';
const recovery = new RecursiveTrainingRecovery({
  retry: async () => {},
  backoff: { initial: 0 },
  checkpoints: { dir: 'checkpoints' },
});
`,
    after: '',
  },
};

const used = usable();
const ofTheReference: Doctest[] = used.flatMap(({ name, declaration }) =>
  examplesOf(declaration).map((code) => ({ name, code: completed(name, code) })),
);
const ofThePage: Doctest[] = programs(readFileSync(path.join(root, 'docs', 'library.md'), 'utf8')).map(
  (program, index) => ({ name: `docs/library.md, program ${index + 1}`, ...program }),
);
const tests = [...ofTheReference, ...ofThePage];

let running: Promise<Outcome[]> | undefined;
const outcomes = (): Promise<Outcome[]> => (running ??= runDoctests({ after: (end) => after(end) }, tests));

for (const [index, { name, code }] of tests.entries()) {
  test(`an example does what it says: ${name}`, async () => {
    const { complaints, thrown, expected, printed } = (await outcomes())[index]!;
    assert.deepEqual(complaints, [], code);
    assert.equal(thrown, undefined, code);
    const same =
      expected.length === printed.length && expected.every((one, at) => saysTheSame(one, printed[at]!));
    if (!same) assert.deepEqual(printed, expected, code);
  });
}

test('each function, class and method that is exported has an example', () => {
  const without = used.filter(
    ({ declaration }) =>
      !ts.isPropertyDeclaration(declaration) &&
      !ts.isAccessor(declaration) &&
      examplesOf(declaration).length === 0,
  );
  assert.deepEqual(
    without.map(({ name }) => name),
    [],
  );
});

test('an example that prints something else is caught', () => {
  assert.ok(saysTheSame("{ step: 1, path: '…' }", "{ step: 1, path: '/a/b' }"));
  assert.ok(!saysTheSame('true', 'false'));
  assert.ok(!saysTheSame('a.c', 'abc'));
  assert.ok(!saysTheSame('true', 'true, though'));
});

function completed(name: string, code: string): string {
  if (/^import /.test(code)) return code;
  const [owner = '', member] = name.split('.');
  const frame = member === undefined ? undefined : given[owner];
  const { before, after: end } = frame ?? { before: `import { ${owner} } from 'trainguard';\n`, after: '' };
  return `${before}${code}${end}`;
}

/** A block that starts with `import` starts a program, others go on with it; a `text` block is what it prints. */
function programs(markdown: string): Omit<Doctest, 'name'>[] {
  const found: { code: string; prints?: string[] }[] = [];
  for (const { language, code } of codeBlocks(markdown)) {
    const last = found.at(-1);
    if (last && language === 'text') last.prints = code.trimEnd().split('\n');
    else if (last && !/^import /.test(code)) last.code += code;
    else found.push({ code });
  }
  return found;
}
