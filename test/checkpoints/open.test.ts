import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openCheckpointStore, type OpenOptions } from '../../src/checkpoints/open.js';
import { files } from '../../src/util/os/durable.js';
import { defaults, HandClock, lay, open, scratch, trainerFolder, value } from './samples.js';

async function refusal(dir: string, options: Partial<OpenOptions> = {}): Promise<string> {
  const opened = await openCheckpointStore({ ...defaults(dir, new HandClock(), []), ...options });
  assert.ok(!opened.ok, 'it was opened');
  assert.equal(opened.error.exit, 78);
  return opened.error.message;
}

/** Renames into the vaults for which `refuses` says so fail as across file systems. */
function otherDevice(t: TestContext, refuses: (target: string) => boolean): void {
  const real = files.rename;
  t.mock.method(files, 'rename', (from: string, to: string) =>
    from.includes('probe') && refuses(to)
      ? Promise.reject(Object.assign(new Error('EXDEV: cross-device link not permitted'), { code: 'EXDEV' }))
      : real(from, to),
  );
}

describe('the folder', () => {
  test('is made where it is missing; its vault is a closed sibling', async (t) => {
    const dir = path.join(scratch(t), 'deep', 'er', 'ckpts');
    const { store, notices } = await open(t, dir);
    assert.deepEqual(readdirSync(dir), []);
    assert.equal(store.vault, path.join(realpathSync(path.dirname(dir)), '.ckpts.trainguard'));
    assert.equal(statSync(store.vault).mode & 0o777, 0o700);
    assert.equal(statSync(path.join(store.vault, 'baseline-run-1.json')).mode & 0o777, 0o600);
    assert.deepEqual(notices, []);
  });

  test('by a link is its target, with the vault beside that', async (t) => {
    const root = realpathSync(scratch(t));
    mkdirSync(path.join(root, 'disk', 'real'), { recursive: true });
    symlinkSync('disk/real', path.join(root, 'link'));
    const { store } = await open(t, path.join(root, 'link'));
    assert.equal(store.dir, path.join(root, 'disk', 'real'));
    assert.deepEqual(readdirSync(root), ['disk', 'link']);
  });

  test('that is a URL, a file, below a file, or cannot be written is refused, and nothing is written', async (t) => {
    const root = scratch(t);
    assert.match(
      await refusal('s3://bucket/ckpts'),
      /remote: s3:\/\/ .*checkpoints\.remote.*sync it to a local folder/,
    );
    writeFileSync(path.join(root, 'a-file'), '');
    assert.match(await refusal(path.join(root, 'a-file')), /a-file is a file/);
    assert.match(
      await refusal(path.join(root, 'a-file', 'below')),
      /a-file\/below is a file, or lies below one/,
    );
    assert.match(await refusal(''), /empty name/);
    const mkdir = t.mock.method(files, 'mkdir', () => Promise.reject(Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' }))); // prettier-ignore
    assert.match(
      await refusal(path.join(root, 'closed')),
      /closed cannot be read and written: no permission/,
    );
    mkdir.mock.restore();
    assert.deepEqual(readdirSync(root), ['a-file']);
  });
});

describe('the vault', () => {
  test('is tried by a real rename; a mount point is refused with the way out, and leaves no trace', async (t) => {
    const dir = path.join(scratch(t), 'ckpts');
    otherDevice(t, () => true);
    const message = await refusal(dir);
    assert.match(
      message,
      /\.ckpts\.trainguard cannot take what .*: it is on another file system; .*--vault DIR/,
    );
    assert.deepEqual(readdirSync(path.dirname(dir)), ['ckpts']);
    assert.deepEqual(readdirSync(dir), []);
  });

  test('lies inside, with a notice, where the layout overlooks dot names', async (t) => {
    const dir = path.join(scratch(t), 'out');
    lay(dir, { ...trainerFolder(10), ...trainerFolder(20) });
    otherDevice(t, (target) => !target.includes('/out/'));
    const { store, notices } = await open(t, dir);
    assert.equal(store.vault, path.join(store.dir, '.trainguard'));
    assert.match(
      notices.join(),
      /another file system; rolled-back checkpoints go to .*inside the checkpoint folder/,
    );
    value(await store.rollback({ moves: ['checkpoint-20'], reason: 'x' }));
    assert.deepEqual(readdirSync(dir), ['.trainguard', 'checkpoint-10']);
    const reading = await open(t, dir, { readOnly: true });
    assert.equal(reading.store.vault, store.vault);
  });

  test('named by --vault lies there, one for each folder', async (t) => {
    const root = scratch(t);
    const named = path.join(root, 'vaults');
    const a = await open(t, path.join(root, 'a', 'ckpts'), { vault: named });
    const b = await open(t, path.join(root, 'b', 'ckpts'), { vault: named });
    assert.notEqual(a.store.vault, b.store.vault);
    assert.equal(readdirSync(named).length, 2);
    assert.ok(!existsSync(path.join(root, 'a', '.ckpts.trainguard')));
    otherDevice(t, () => true);
    assert.match(await refusal(path.join(root, 'c'), { vault: path.join(root, 'far') }), /file system of the checkpoint folder with --vault/); // prettier-ignore
  });

  test('that was proven is not probed again', async (t) => {
    const dir = path.join(scratch(t), 'ckpts');
    await open(t, dir);
    otherDevice(t, () => true);
    await open(t, dir);
  });
});
