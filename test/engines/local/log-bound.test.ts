import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pruneLogs } from '../../../src/engines/local/log-prune.js';
import { launch, tempDir } from './support.js';

const MiB = 1024 * 1024;

test('a log over its bound gives its beginning back to the disk; lines, offsets and the end stay', async (t) => {
  const script = `import time, os
line = 'x' * 99
for i in range(320000):
    print(line)
    if i % 10000 == 0: time.sleep(0.01)
print('the end')`;
  const { worker, lines, notices, attemptDir } = await launch(t, ['python3', '-c', script], {
    engine: { logsKeepAttemptBytes: 4 * MiB },
    spec: { env: { PATH: process.env['PATH'] ?? '', PYTHONUNBUFFERED: '' } },
  });
  await worker.ended;
  const log = statSync(path.join(attemptDir, 'worker-0.out.log'));
  if (notices.some((notice) => notice.includes('fallocate'))) {
    t.skip(notices.join('; '));
    return;
  }
  assert.equal(lines.length, 320_001);
  assert.equal(log.size, 32_000_008);
  assert.equal(worker.offsets.out, log.size);
  assert.ok(log.blocks * 512 <= 6 * MiB, `${log.blocks * 512} bytes on disk`);
  const [, out] = await worker.tails(7 + 1);
  assert.equal(out?.text, 'the end\n');
  assert.equal(out.firstLine, 320_001);
});

test('where a log cannot be released that is said once', async (t) => {
  const { worker, notices } = await launch(
    t,
    ['sh', '-c', 'yes | head -c 3000000; sleep 0.2; yes | head -c 3000000'],
    {
      engine: { logsKeepAttemptBytes: 64 * 1024 },
      spec: { env: { PATH: process.env['PATH'] ?? '' } },
    },
  );
  const { PATH } = process.env;
  process.env['PATH'] = tempDir(t); // no fallocate in it
  try {
    await worker.ended;
  } finally {
    process.env['PATH'] = PATH;
  }
  assert.equal(notices.length, 1, notices.join('; '));
  assert.match(notices[0]!, /cannot be kept under 64\.0 KiB: fallocate/);
});

function attempt(runDir: string, name: string, bytes: number): string {
  const dir = path.join(runDir, 'attempts', name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(path.join(dir, 'worker-0.out.log'), Buffer.alloc(bytes, 'x'));
  writeFileSync(path.join(dir, 'exit'), '1\n');
  return dir;
}

test('old attempts go, then the oldest logs, never the newest attempt', async (t) => {
  const runDir = tempDir(t);
  const dirs = ['000', '001', '002', '003', '010'].map((name) => attempt(runDir, name, MiB));
  assert.deepEqual(await pruneLogs(runDir, { runBytes: 2.5 * MiB, attempts: 4 }), ['000', '001', '002']);
  const has = (name: string): boolean[] => dirs.map((dir) => existsSync(path.join(dir, name)));
  assert.deepEqual(has('exit'), [false, true, true, true, true]);
  assert.deepEqual(has('worker-0.out.log'), [false, false, false, true, true]);
  await pruneLogs(runDir, { runBytes: 0, attempts: 0 });
  assert.equal(readFileSync(path.join(dirs[4]!, 'worker-0.out.log')).length, MiB);
});

test('a disk that runs full: old logs go, then the beginning of this one, and the worker never fails', async (t) => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'trainguard-small-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', dir]);
  if (mounted.status !== 0) {
    rmSync(dir, { recursive: true });
    t.skip('a small tmpfs cannot be mounted here (needs root)');
    return;
  }
  const old = attempt(dir, '000', 3 * MiB);
  const script = `import time
for i in range(15):
    print('x' * 999_999, flush=True)
    time.sleep(0.02 if i < 2 else 0.3)`;
  const { worker, notices, lines } = await launch(t, ['python3', '-c', script], {
    spec: { attemptDir: path.join(dir, 'attempts', '001') },
  });
  t.after(() => {
    spawnSync('umount', [dir]);
    rmSync(dir, { recursive: true });
  });
  assert.deepEqual(await worker.ended, { type: 'code', code: 0 }, lines.at(-1));
  assert.equal(worker.offsets.out, 15_000_000);
  assert.equal(existsSync(path.join(old, 'worker-0.out.log')), false);
  assert.match(notices[0] ?? '', /nearly full: the logs of attempt 0 were removed/);
  assert.match(notices[1] ?? '', /nearly full: of this attempt's logs only the end is kept/);
  assert.equal(notices.length, 2, notices.join('; '));
});
