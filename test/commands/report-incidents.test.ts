import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { keepIncidents } from '../../src/commands/report-incidents.js';
import type { Happening } from '../../src/supervisor/parts.js';
import { newLedger } from '../../src/policy/ledger.js';
import { code, steps } from '../policy/kit.js';
import { places } from '../report/incidents.js';
import { tempDir } from '../support/temp-dir.js';

const ledger = { ...newLedger(), bootId: 'b', launched: 1, lastLaunched: 0 };
const now = { at: 1_700_000_000_000, mono: 5000 };

/** Attempt `attempt` fails, with something secret in its words. */
function failing(attempt: number): Happening {
  const mine = { ...ledger, attempt, lastLaunched: attempt };
  const reason = 'HTTP 401 for https://me:hunter2@hub.example/x, HF_TOKEN=hf_abcdefghijklmnopqrstuv';
  const failure = { kind: 'exception' as const, reason, evidence: [], confidence: 0.9 };
  return {
    event: { ...now, type: 'exited', exit: code(1), failure, summary: steps(1, 5) },
    before: { name: 'running', pid: 1, since: now, ledger: mine },
    after: {
      ...{ name: 'inspecting', after: 'failure', ledger: mine },
      failure: { ...{ attempt, at: now.at, exit: code(1), action: '', quarantined: [] }, ...failure },
    },
    effects: [],
  };
}

test('incidents are numbered on where an earlier start left off, and secrets do not get into them', async (t) => {
  const dir = tempDir(t);
  const first = await keepIncidents(dir, places, (text) => assert.ok(false, text));
  assert.equal(first.last, undefined);
  assert.equal(first.note(failing(0))?.number, 1);
  await first.close();
  const second = await keepIncidents(dir, places, (text) => assert.ok(false, text));
  assert.equal(second.last?.number, 1);
  assert.equal(second.note(failing(1))?.number, 2);
  await second.close();
  assert.deepEqual(readdirSync(dir).sort(), ['001.json', '001.md', '002.json', '002.md']);
  assert.equal(second.fileOf(1), path.join(dir, '002.md'));
  assert.equal(second.last.file, path.join(dir, '002.md'));
  for (const name of readdirSync(dir))
    assert.doesNotMatch(readFileSync(path.join(dir, name), 'utf8'), /hunter2|hf_abc/);
});

test('what cannot be written is said once, and written once it can be', async (t) => {
  const dir = path.join(tempDir(t), 'incidents');
  writeFileSync(dir, 'a file stands where the folder should be');
  const said: string[] = [];
  const keeper = await keepIncidents(dir, places, (text) => said.push(text));
  keeper.note(failing(0));
  await keeper.close();
  keeper.note(failing(1));
  await keeper.close();
  assert.equal(said.length, 1, said.join('\n'));
  assert.match(said[0] ?? '', /the run goes on, but its incidents may not be complete/);
  rmSync(dir);
  mkdirSync(dir);
  keeper.note(failing(2));
  await keeper.close();
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.endsWith('.md')),
    ['001.md', '002.md', '003.md'],
  );
});
