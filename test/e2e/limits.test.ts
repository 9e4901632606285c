import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root } from '../support/root.js';
import { runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';

const bin = path.join(root, 'bin', 'trainguard.js');
/** Has a shell of that limit start, and wait for, whatever follows. */
const limited = ['sh', '-c', 'ulimit -S -n 777; "$@"; exit "$?"', 'sh'] as const;
const noProc = existsSync('/proc/self/limits') ? false : 'without /proc the limit cannot be known';

test(
  'the training has the limit of open files that trainguard was started with',
  { skip: noProc },
  async (t) => {
    const cwd = tempDir(t);
    const training = ['sh', '-c', 'ulimit -S -n; ulimit -H -n'];
    const { code, stdout, stderr } = await runProgram(
      t,
      [...limited, process.execPath, bin, 'run', '--name', 'limited', '--', ...training],
      { cwd },
    ).done;
    assert.equal(code, 0, stderr);
    const [soft = '', hard = ''] = stdout.split('\n');
    assert.equal(soft, '777');
    assert.notEqual(hard, '777');
    const launch = readFileSync(path.join(cwd, '.trainguard/runs/limited/launch.json'), 'utf8');
    const { limits } = JSON.parse(launch) as { limits: { name: string; soft: string; hard: string }[] };
    assert.deepEqual(
      limits.find(({ name }) => name === 'Max open files'),
      { name: 'Max open files', soft, hard },
    );
  },
);

test('so has the training of a run inside a run', { skip: noProc }, async (t) => {
  const cwd = tempDir(t);
  const inner = [
    process.execPath,
    bin,
    'run',
    '--quiet',
    '--name',
    'inner',
    '--',
    'sh',
    '-c',
    'ulimit -S -n',
  ];
  const { code, stdout, stderr } = await runProgram(
    t,
    [...limited, process.execPath, bin, 'run', '--name', 'outer', '--', ...inner],
    { cwd },
  ).done;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, '777\n');
});
