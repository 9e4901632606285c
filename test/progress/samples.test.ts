import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createLineSplitter } from '../../src/engines/local/line-splitter.js';
import { fold, startProgress } from '../../src/progress/fold.js';
import { formats } from '../../src/progress/formats.js';
import { createHeartbeatReader } from '../../src/progress/heartbeat.js';
import type { Heartbeat, Progress } from '../../src/progress/types.js';

// What real frameworks print is read as it stands beside it (fixtures/progress).

interface Sample {
  readonly from: string;
  readonly streams: readonly ('out' | 'err')[];
  readonly heartbeats: readonly Record<string, unknown>[];
}

const folder = new URL('../../../fixtures/progress/', import.meta.url);
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.slice(0, -'.json'.length));

const sampleOf = (name: string): Sample =>
  JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as Sample;

/** Reads a sample's streams as a run reads them, one behind the other. */
function readSample(name: string): Heartbeat[] {
  const found: Heartbeat[] = [];
  const read = createHeartbeatReader();
  for (const stream of sampleOf(name).streams) {
    const splitter = createLineSplitter((line) => found.push(...read(line)));
    splitter.push(readFileSync(new URL(`${name}.${stream}.log`, folder)));
    splitter.flush();
  }
  return found;
}

function foldAll(heartbeats: readonly Heartbeat[]): Progress {
  let progress = startProgress({ at: 0, mono: 0 });
  for (const [index, heartbeat] of heartbeats.entries()) {
    progress = fold(progress, heartbeat, { at: index, mono: index });
  }
  return progress;
}

/** As a sample's JSON has it. */
const written = ({ metrics, ...rest }: Heartbeat): unknown =>
  JSON.parse(
    JSON.stringify({ ...rest, ...(Object.keys(metrics).length > 0 && { metrics }) }, (_, value: unknown) =>
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
    ),
  );

for (const name of names) {
  test(`reads ${name}`, () => {
    assert.deepEqual(readSample(name).map(written), sampleOf(name).heartbeats);
  });
}

test('every format has a sample, and every log is one', () => {
  const shown = new Set(names.flatMap(readSample).map(({ format }) => format));
  for (const { id } of formats) assert.ok(shown.has(id), `fixtures/progress has no sample of ${id}`);
  for (const log of readdirSync(folder).filter((file) => file.endsWith('.log'))) {
    assert.ok(names.includes(log.replace(/\.(out|err)\.log$/, '')), `${log} has no JSON beside it`);
  }
});

test('no sample counts backwards, and none finds fault with a healthy training', () => {
  for (const name of names) {
    let step = -1;
    let epoch = -1;
    for (const heartbeat of readSample(name)) {
      assert.ok((heartbeat.step ?? step) >= step, `${name}: the step went back from ${step}`);
      assert.ok((heartbeat.epoch ?? epoch) >= epoch, `${name}: the epoch went back from ${epoch}`);
      step = heartbeat.step ?? step;
      epoch = heartbeat.epoch ?? epoch;
    }
    const { unhealthy, wentBack } = foldAll(readSample(name));
    assert.equal(wentBack, undefined, name);
    const isPoisoned = /-nan$|^nanogpt$/.test(name);
    assert.equal(unhealthy?.kind, isPoisoned ? 'non-finite-loss' : undefined, name);
  }
});

test('a bar that rich draws off a terminal says nothing', () => {
  assert.deepEqual(readSample('lightning-rich'), []);
});

test('a Trainer that was resumed begins where it went on, not where its bar was drawn first', () => {
  const progress = foldAll(readSample('transformers-resumed'));
  assert.equal(progress.firstStep, 7);
  assert.equal(progress.totalSteps, 12);
});
