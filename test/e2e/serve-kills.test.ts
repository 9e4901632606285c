import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root } from '../support/root.js';
import { runProgram } from '../support/run-cli.js';

const script = path.join(root, 'test', 'chaos', 'serve-kills.mjs');

// a hundred and their figures: the script itself
test(
  'serve is killed three times under load: nothing acknowledged is lost, torn or done twice',
  { skip: !existsSync(script) && 'the scripts of test/chaos are not here' },
  async (t) => {
    const { code, stdout, stderr } = await runProgram(t, [process.execPath, script, '3'], {
      timeoutMs: 300_000,
    }).done;
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^3 of 3 kills /m);
  },
);
