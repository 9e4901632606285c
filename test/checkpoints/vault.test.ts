import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cannotUnshare } from '../support/unshare.js';
import { lay, npz, scratch, trainerFolder } from './samples.js';

const child = fileURLToPath(new URL('vault-child.js', import.meta.url));
const isRoot = process.getuid?.() === 0;
/** A mount namespace of its own; for who is not root also a user namespace in which it is. */
const namespace = isRoot ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
const skip = cannotUnshare(...namespace);

interface Told {
  readonly vault?: string;
  readonly left: readonly string[];
  readonly notices?: readonly string[];
  readonly moved?: readonly string[];
  readonly failed?: string;
  readonly refused?: string;
  readonly exit?: number;
}

/** Opens and rolls back `$1` (with the vault `$2`) after a script of mounts, which nobody else sees. */
function mounted(script: string, dir: string, vault?: string): Told {
  const mounts = `set -e\nmount --make-rprivate /\n${script}\nexec "$NODE" "$CHILD" "$@"`;
  const args = [...namespace, 'sh', '-c', mounts, 'sh', dir, ...(vault === undefined ? [] : [vault])];
  const env = { ...process.env, NODE: process.execPath, CHILD: child };
  const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', env, timeout: 30_000 });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Told;
}

/** A folder with two checkpoints of either layout. `out` is Hugging Face's, which overlooks dot names. */
function makeDirs(t: TestContext): { root: string; plain: string; out: string } {
  const root = scratch(t);
  const [plain, out] = [path.join(root, 'in', 'ckpts'), path.join(root, 'in', 'out')];
  lay(plain, { 'step-10.npz': npz(1, 100), 'step-20.npz': npz(2, 100) });
  lay(out, { ...trainerFolder(10), ...trainerFolder(20) });
  return { root, plain, out };
}

/** A tmpfs in place of a folder, with what was in it. */
const tmpfs = (dir: string): string =>
  `cp -a "${dir}" "${dir}.was" && mount -t tmpfs none "${dir}" && cp -a "${dir}.was/." "${dir}/"`;

describe('the vault, with real mounts', { skip }, () => {
  test('of a folder that is a mount point itself: exit 78 and the way out; inside where dot names are overlooked', (t) => {
    const { plain, out } = makeDirs(t);
    const refused = mounted(tmpfs(plain), plain);
    assert.equal(refused.exit, 78);
    assert.match(refused.refused ?? '', /^[^\n]*\.ckpts\.trainguard cannot take what a rollback moves out of .*: it is on another file system; name a folder on the same file system with --vault DIR, or mount the parent of the checkpoint folder$/); // prettier-ignore
    assert.deepEqual(refused.left, ['step-10.npz', 'step-20.npz']);
    assert.deepEqual(readdirSync(path.dirname(plain)).filter((name) => name.startsWith('.')), [], 'no trace'); // prettier-ignore
    const inside = mounted(tmpfs(out), out);
    assert.equal(inside.vault, path.join(out, '.trainguard'));
    assert.match(inside.notices?.join() ?? '', /another file system; rolled-back checkpoints go to .*inside the checkpoint folder/); // prettier-ignore
    assert.deepEqual(inside.left, ['.trainguard', 'checkpoint-10']);
  });

  test('of a mount of the parent, and one that is named on the same mount: taken', (t) => {
    const { plain } = makeDirs(t);
    const sibling = mounted(tmpfs(path.dirname(plain)), plain);
    assert.equal(sibling.vault, path.join(path.dirname(plain), '.ckpts.trainguard'));
    assert.deepEqual(sibling.left, ['step-10.npz']);
    assert.equal(sibling.moved?.length, 1);
  });

  test('of a bind mount, which has the same device number: told by the rename', (t) => {
    const { plain, out } = makeDirs(t);
    const refused = mounted(`mount --bind "${plain}" "${plain}"`, plain);
    assert.equal(refused.exit, 78);
    assert.match(refused.refused ?? '', /it is on another file system/);
    const inside = mounted(`mount --bind "${out}" "${out}"`, out);
    assert.deepEqual(inside.left, ['.trainguard', 'checkpoint-10']);
  });

  test('named on another device: nothing is moved there, exit 78 says so', (t) => {
    const { root, plain } = makeDirs(t);
    const far = path.join(root, 'far');
    mkdirSync(far);
    const refused = mounted(`mount -t tmpfs none "${far}"`, plain, far);
    assert.equal(refused.exit, 78);
    assert.match(refused.refused ?? '', /far\/ckpts-[0-9a-f]{8} cannot take .*: it is on another file system; name a folder on the file system of the checkpoint folder with --vault DIR$/); // prettier-ignore
    assert.deepEqual(refused.left, ['step-10.npz', 'step-20.npz']);
  });

  test('beside a folder in a parent that is read-only: 78, or inside; a named one is taken', (t) => {
    const { plain, out } = makeDirs(t);
    const parent = path.dirname(plain);
    const readOnly = (dir: string): string =>
      `mount --bind "${parent}" "${parent}" && mount --bind "${dir}" "${dir}" && mount -o remount,bind,ro "${parent}"`;
    const refused = mounted(readOnly(plain), plain);
    assert.equal(refused.exit, 78);
    assert.match(refused.refused ?? '', /it is read-only; name a folder/);
    const inside = mounted(readOnly(out), out);
    assert.equal(inside.vault, path.join(out, '.trainguard'));
    assert.deepEqual(inside.left, ['.trainguard', 'checkpoint-10']);
  });

  test('on an overlay: a folder of its lower layer cannot be moved, which is said before anything is', (t) => {
    const { root, out } = makeDirs(t);
    const [upper, work, merged] = ['upper', 'work', 'merged'].map((name) => path.join(root, name)) as [string, string, string]; // prettier-ignore
    for (const dir of [upper, work, merged]) mkdirSync(dir);
    const lower = path.dirname(out);
    const overlay = `mount -t tmpfs none "${root}/upper" && mkdir "${upper}/u" "${upper}/w" && mount -t overlay none -o "lowerdir=${lower},upperdir=${upper}/u,workdir=${upper}/w" "${merged}"`;
    const tried = spawnSync('unshare', [...namespace, 'sh', '-c', overlay], { encoding: 'utf8' });
    if (tried.status !== 0) {
      t.skip(`no overlay can be mounted: ${tried.stderr.trim()}`);
      return;
    }
    const told = mounted(overlay, path.join(merged, 'out'));
    assert.equal(told.vault, path.join(merged, '.out.trainguard'));
    // with redirect_dir, which some kernels have on, it can
    if (told.failed === undefined) assert.deepEqual(told.left, ['checkpoint-10']);
    else {
      assert.match(
        told.failed,
        /checkpoint-20 lies in a lower layer of an overlay.*mount a volume.*; nothing was moved$/,
      );
      assert.deepEqual(told.left, ['checkpoint-10', 'checkpoint-20']);
    }
    const files = mounted(overlay, path.join(merged, 'ckpts'));
    assert.deepEqual(files.left, ['step-10.npz'], 'files can');
  });
});

test('the vault beside a folder whose parent is another user’s: 78, or inside', (t) => {
  const nobody = 65534;
  const program = isRoot ? 'setpriv' : 'env';
  const become = isRoot ? [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : [];
  const first = [...become, process.execPath];
  const able = spawnSync(program, [...first, '-e', `require('fs').accessSync(${JSON.stringify(child)})`], {
    encoding: 'utf8',
  });
  if (able.status !== 0) {
    t.skip(`another user cannot run this: ${able.error?.message ?? able.stderr}`);
    return;
  }
  const { root, plain, out } = makeDirs(t);
  for (const dir of [plain, out])
    for (const name of ['', ...(readdirSync(dir, { recursive: true }) as string[])])
      if (isRoot) chownSync(path.join(dir, name), nobody, nobody);
  chmodSync(root, 0o755);
  chmodSync(path.dirname(plain), 0o555);
  // so that the scratch folder can be removed
  const open = (): void => chmodSync(path.dirname(plain), 0o755);
  const run = (dir: string): Told => {
    const { status, stdout, stderr } = spawnSync(program, [...first, child, dir], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as Told;
  };
  const refused = run(plain);
  assert.equal(refused.exit, 78);
  assert.match(refused.refused ?? '', /\.ckpts\.trainguard cannot take .*: no permission; name a folder/);
  const inside = run(out);
  assert.equal(inside.vault, path.join(out, '.trainguard'));
  assert.deepEqual(inside.left, ['.trainguard', 'checkpoint-10']);
  open();
});
