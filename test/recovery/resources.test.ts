import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { lackingResources } from '../../src/recovery/resources.js';
import { RecursiveTrainingRecovery } from '../../src/recovery/recursive.js';
import type { FolderSettings } from '../../src/recovery/safe-look.js';
import { lay, npz } from '../checkpoints/samples.js';
import { tempDir } from '../support/temp-dir.js';

const settings = (dir: string): FolderSettings => ({
  ...{ dirs: [dir], layout: 'auto', clean: [], stateDir: path.join(dir, '.none'), allowScratch: false },
  provenAfterMs: 0,
});

/** A folder whose newest checkpoint is larger than any disk: a sparse file. */
function crowded(t: TestContext): string {
  const dir = path.join(tempDir(t), 'checkpoints');
  lay(dir, { 'step-10.npz': npz(1) });
  const huge = path.join(dir, 'step-20.npz');
  writeFileSync(huge, npz(2));
  truncateSync(huge, 15 * 2 ** 40);
  return dir;
}

test('there must be room for one more checkpoint of the newest one’s size', async (t) => {
  const dir = crowded(t);
  const lack = await lackingResources(settings(dir), [dir], 'exception');
  assert.match(
    lack?.words ?? '',
    /^15\.0 TiB of free space for the checkpoint folder .*\/checkpoints \(.* there\)$/,
  );
  assert.deepEqual(readdirSync(dir).toSorted(), ['step-10.npz', 'step-20.npz'], 'it only looks');
  const small = path.join(tempDir(t), 'small');
  lay(small, { 'step-10.npz': npz(1) });
  assert.equal(await lackingResources(settings(small), [small], 'exception'), undefined);
});

test('a folder that is not there yet, and one that is empty, lack nothing', async (t) => {
  const dir = path.join(tempDir(t), 'none');
  assert.equal(await lackingResources(settings(dir), [dir], 'exception'), undefined);
  assert.throws(() => readdirSync(dir), { code: 'ENOENT' });
  mkdirSync(dir);
  assert.equal(await lackingResources(settings(dir), [dir], 'storage'), undefined);
});

test('a lack uses a retry and is said; false looks at nothing; the caller’s own check is asked besides', async (t) => {
  const dir = crowded(t);
  const tried: string[] = [];
  const made = (more: object): RecursiveTrainingRecovery =>
    new RecursiveTrainingRecovery({
      ...{ maxRetries: 2, rollbackEnabled: false, backoff: { initial: 0 }, checkpoints: { dir } },
      retry: () => tried.push('tried'),
      ...more,
    });
  const lacking = made({});
  assert.equal(await lacking.recover(new Error('x')), false);
  assert.equal(tried.length, 0);
  const { reasons, attempts, lastFailure } = lacking.getRecoveryStatus();
  assert.equal(attempts, 0);
  assert.equal(lastFailure?.kind, 'storage');
  assert.match(
    reasons[1] ?? '',
    /^the retry could not begin: it waits for 15\.0 TiB of free space .*; retry 2 of 2$/,
  );
  assert.equal(await made({ checkResources: false }).recover(new Error('x')), true);
  assert.equal(tried.join(), 'tried');

  const answers = ['the GPU to cool down', undefined];
  const own = new RecursiveTrainingRecovery({
    ...{ backoff: { initial: 0 }, retry: () => tried.push('again'), checkResources: () => answers.shift() },
  });
  assert.equal(await own.recover(new Error('x')), true);
  assert.equal(tried.join(), 'tried,again');
  assert.match(own.getRecoveryStatus().reasons[1] ?? '', /it waits for the GPU to cool down; retry 2 of 3$/);
});
