import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { incidentNumbers, newestIncident, readIncident, writeIncident } from '../../src/runs/incidents.js';
import { everyFault } from '../support/faults.js';
import { tempDir } from '../support/temp-dir.js';

interface One {
  readonly number: number;
  readonly news?: boolean;
}
const isOne = (value: object): value is One => !('other' in value);

test('a file that is no incident is damaged, and a number is that of its name', async (t) => {
  const dir = tempDir(t);
  writeFileSync(path.join(dir, '003.json'), '{"schemaVersion":1,"number":7}');
  assert.deepEqual(await readIncident(dir, 3, isOne), { ok: true, value: { number: 3 } });
  writeFileSync(path.join(dir, '004.json'), '{"schemaVersion":1,"other":7}');
  const read = await readIncident(dir, 4, isOne);
  assert.match(read.ok ? '' : read.error.message, /004\.json is damaged: it is no incident/);
  assert.equal((await newestIncident(dir, isOne))?.number, 3);
});

test('an incident is two files that only we may read', async (t) => {
  const dir = tempDir(t);
  assert.ok((await writeIncident(dir, { number: 12 }, '# text\n')).ok);
  assert.deepEqual(readdirSync(dir).sort(), ['012.json', '012.md']);
  for (const name of readdirSync(dir)) assert.equal(statSync(path.join(dir, name)).mode & 0o777, 0o600);
  assert.equal(readFileSync(path.join(dir, '012.md'), 'utf8'), '# text\n');
  assert.deepEqual(JSON.parse(readFileSync(path.join(dir, '012.json'), 'utf8')), {
    schemaVersion: 1,
    number: 12,
  });
});

test('incidents are numbered by what lies there, beyond 999 too', async (t) => {
  const dir = tempDir(t);
  assert.deepEqual(incidentNumbers(path.join(dir, 'not there')), { ok: true, value: [] });
  for (const number of [1, 1000, 2]) assert.ok((await writeIncident(dir, { number }, '')).ok);
  writeFileSync(path.join(dir, 'notes.json'), '');
  writeFileSync(path.join(dir, '.003.json.1.0.tmp'), '');
  assert.deepEqual(incidentNumbers(dir), { ok: true, value: [1, 2, 1000] });
});

test('the newest is the newest that can be read', async (t) => {
  const dir = tempDir(t);
  assert.equal(await newestIncident(dir, isOne), undefined);
  await writeIncident(dir, { number: 1 }, '');
  await writeIncident(dir, { number: 2 }, '');
  writeFileSync(path.join(dir, '002.json'), '{');
  assert.deepEqual(await newestIncident(dir, isOne), { number: 1, file: path.join(dir, '001.md') });
  assert.ok(!(await readIncident(dir, 2, isOne)).ok);
});

test('an incident is the old or the new one, whatever goes wrong where', async (t) => {
  const dir = path.join(tempDir(t), 'incidents');
  const cases = await everyFault(
    async () => {
      rmSync(dir, { recursive: true, force: true });
      mkdirSync(dir);
      await writeIncident(dir, { number: 1 }, 'old');
    },
    async () => {
      const written = await writeIncident(dir, { number: 1, ...{ news: true } }, 'new');
      if (!written.ok) throw Object.assign(new Error(written.error.message), { code: written.error.code });
    },
    async ({ crashed, error }) => {
      const read = await readIncident(dir, 1, isOne);
      assert.ok(read.ok && read.value?.number === 1);
      const text = readFileSync(path.join(dir, '001.md'), 'utf8');
      assert.ok(['old', 'new'].includes(text), text);
      if (!crashed && error === undefined) assert.deepEqual([read.value.news, text], [true, 'new']);
    },
  );
  assert.ok(cases >= 50, `only ${cases} cases`);
});
