import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { signatureOf } from '../support/declarations.js';
import { root } from '../support/root.js';
import { managerRows } from './ancestors-manager.js';
import { runPython } from './ancestors-python.js';
import { recursiveRows } from './ancestors-recursive.js';

// Holds docs/ancestors.md: each row is a test in both languages, and there is no test without a row.

/** What a cell says where a language has none. */
const notThere = '—';

/** `RecoveryManager`: a class of both languages, a table of the page. */
interface Row {
  readonly owner: string;
  /** As the ancestor called it. */
  readonly ancestor: string;
  readonly typescript: string;
  readonly python: string;
}

const rows = readRows(readFileSync(path.join(root, 'docs', 'ancestors.md'), 'utf8'));
const checks = { RecoveryManager: managerRows, RecursiveTrainingRecovery: recursiveRows };
const nameOf = ({ owner, ancestor }: Pick<Row, 'owner' | 'ancestor'>): string => `${owner}: ${ancestor}`;

let python: ReturnType<typeof runPython> | undefined;
const inPython = (): ReturnType<typeof runPython> => (python ??= runPython({ after: (end) => after(end) }));

for (const row of rows) {
  test(`${nameOf(row)}, in TypeScript: ${row.typescript}`, async (t) => {
    const check = (checks as Partial<Record<string, typeof managerRows>>)[row.owner]?.[row.ancestor];
    assert.ok(check, 'the row has no test');
    await check(t);
  });

  if (row.python !== notThere)
    test(`${nameOf(row)}, in Python: ${row.python}`, async () => {
      const { outcomes } = await inPython();
      assert.ok(nameOf(row) in outcomes, 'the row has no test in ancestors.py');
      assert.equal(outcomes[nameOf(row)], null);
    });
}

test('each test has its row', async () => {
  const named = rows.map(nameOf).sort();
  const namedInPython = rows.filter((row) => row.python !== notThere).map(nameOf);
  const inTypeScript = Object.entries(checks).flatMap(([owner, tests]) =>
    Object.keys(tests).map((ancestor) => nameOf({ owner, ancestor })),
  );
  assert.deepEqual(inTypeScript.sort(), named);
  assert.deepEqual(Object.keys((await inPython()).outcomes).sort(), namedInPython.sort());
});

test('the signatures are those of the code', async () => {
  const { signatures } = await inPython();
  const calls = rows.filter(({ typescript }) => typescript.includes('('));
  assert.ok(calls.length >= 9);
  for (const { owner, typescript, python: said } of calls) {
    assert.equal(typescript, signatureOf(owner, nameBefore(typescript)));
    assert.equal(said, signatures[`${owner}.${nameBefore(said)}`]);
  }
  for (const { owner, python: said } of rows.filter((row) => row.python.includes('='))) {
    if (said.includes('(')) continue;
    assert.ok(signatures[owner]?.includes(said), `${signatures[owner] ?? owner} has no ${said}`);
  }
});

const nameBefore = (call: string): string => call.slice(0, call.indexOf('('));

/** The rows of the page's tables; a table belongs to the heading above it. */
function readRows(page: string): Row[] {
  let owner = '';
  const found: Row[] = [];
  for (const line of page.split('\n')) {
    owner = /^## (\w+)$/.exec(line)?.[1] ?? owner;
    const cells = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    const [ancestor, typescript, inPythonCell] = cells.map(
      (cell) => /^`([^`]*)`/.exec(cell)?.[1] ?? (cell === notThere ? cell : undefined),
    );
    if (ancestor === undefined || typescript === undefined || inPythonCell === undefined) continue;
    found.push({ owner, ancestor, typescript, python: inPythonCell });
  }
  assert.ok(found.length > 0);
  return found;
}
