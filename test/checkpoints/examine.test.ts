import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { examine } from '../../src/checkpoints/examine.js';
import { lay, scratch, trainerFolder, value } from './samples.js';

test('what the rotation was removing when it was listed is gone, not damaged', async (t) => {
  const dir = scratch(t);
  lay(dir, { ...trainerFolder(10), ...trainerFolder(20) });
  rmSync(path.join(dir, 'checkpoint-10', 'trainer_state.json'));
  const options = { dir, layout: 'huggingface', ids: [], deep: true, settleMs: 0 } as const;
  const { examined } = value(await examine({ ...options, onNotice: () => undefined }));
  rmSync(path.join(dir, 'checkpoint-10'), { recursive: true });
  const verdicts: string[] = [];
  for await (const { id, verdict } of examined()) verdicts.push(`${id} ${verdict}`);
  assert.deepEqual(verdicts, ['checkpoint-10 gone', 'checkpoint-20 good']);
});
