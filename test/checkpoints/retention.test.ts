import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'; // prettier-ignore
import fs from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Pins } from '../../src/checkpoints/pins.js';
import type { KeepRules } from '../../src/checkpoints/retention/decide.js';
import { usualRules } from '../../src/checkpoints/retention/retention.js';
import {
  finishRemovals,
  removeTransaction,
  type Transaction,
} from '../../src/checkpoints/retention/quarantine.js';
import { discard, emptyTrash } from '../../src/checkpoints/retention/trash.js';
import type { CheckpointStore } from '../../src/supervisor/ports.js';
import { errorCode, files } from '../../src/util/os/durable.js';
import { everyFault } from '../support/faults.js';
import { cannotUnshare } from '../support/unshare.js';
import { bytesIn, lay, look, npz, open, scratch, value, zipOf, type Opened } from './samples.js'; // prettier-ignore

const mib = 1024 * 1024;
const steps = (...some: number[]): Record<string, Buffer> =>
  Object.fromEntries(some.map((step) => [`step-${step}/model.npz`, npz(step)]));

async function opened(
  t: TestContext,
  tree: Readonly<Record<string, Buffer | string>>,
  keep: Partial<KeepRules> = {},
  more: Parameters<typeof open>[2] = {},
): Promise<Opened & { readonly dir: string; readonly vault: string }> {
  const dir = path.join(scratch(t), 'ckpts');
  lay(dir, tree);
  const one = await open(t, dir, { keep: { ...usualRules, ...keep }, ...more });
  return { ...one, dir, vault: one.store.vault ?? '' };
}

/** A look as a supervisor makes it: spares are taken, then retention lets go of what it does not keep. */
async function tidy(store: CheckpointStore): Promise<void> {
  await look(store);
  await store.keep({ live: false });
  await look(store);
  await store.retain();
}

const refuseNotice = (text: string): void => assert.equal(text, '');
const spares = (vault: string): string[] =>
  readdirSync(path.join(vault, 'spares')).map(decodeURIComponent).sort();
const inTrash = (vault: string): string[] =>
  existsSync(path.join(vault, 'trash')) ? readdirSync(path.join(vault, 'trash')) : [];

/** Has the disk say that so much is free. */
function free(t: TestContext, bytes: () => number): void {
  const real = fs.statfs;
  t.mock.method(fs, 'statfs', (async (...args: Parameters<typeof real>) =>
    Object.assign(await real(...args), { bsize: 1, bavail: bytes() })) as typeof real);
}

describe('the vault', () => {
  test('keeps the last ones, more where a rule says so; the folder is the trainer’s', async (t) => {
    const { store, dir, vault } = await opened(t, {}, { everySteps: 40 });
    for (const step of [10, 20, 30, 40, 50, 60]) {
      lay(dir, steps(step), 600_000 - step * 1000);
      await tidy(store);
      if (step === 20) value(await store.mark('step-20', 'safe', 'x'));
    }
    // the safe one, the next to be proven, the first of the 40s, the last two
    const kept = ['step-10@10', 'step-20@20', 'step-30@30', 'step-40@40', 'step-50@50', 'step-60@60'];
    assert.deepEqual(spares(vault), kept);
    value(await store.mark('step-60', 'safe', 'x'));
    await tidy(store);
    assert.deepEqual(spares(vault), ['step-10@10', 'step-40@40', 'step-50@50', 'step-60@60']);
    assert.equal(readdirSync(dir).length, 6);
    assert.deepEqual(inTrash(vault), []);
  });

  test('the best by a metric; its steps are the heartbeats’', async (t) => {
    const losses: Record<number, number> = { 10: 0.9, 20: 0.1, 30: 0.5 };
    const asked: string[] = [];
    const metrics = (name: string): Promise<(step: number) => number | undefined> => {
      asked.push(name);
      return Promise.resolve((step) => losses[step]);
    };
    const keep = { best: { count: 1, metric: 'val_loss', mode: 'min' as const } };
    const { store, dir, vault } = await opened(t, {}, keep, { metrics });
    for (const step of [10, 20, 30, 40, 50]) {
      lay(dir, steps(step), 600_000 - step * 1000);
      await tidy(store);
    }
    value(await store.mark('step-50', 'safe', 'x'));
    await tidy(store);
    assert.deepEqual(spares(vault), ['step-20@20', 'step-40@40', 'step-50@50']);
    assert.ok(asked.every((name) => name === 'val_loss') && asked.length > 0);
  });

  test('a pin that another process writes counts from the next look on', async (t) => {
    const { store, dir, vault } = await opened(t, steps(10, 20, 30));
    await tidy(store);
    const files = readdirSync(path.join(dir, 'step-10')).map((name) => {
      const stat = statSync(path.join(dir, 'step-10', name), { bigint: true });
      return { path: `step-10/${name}`, size: Number(stat.size), mtimeNs: String(stat.mtimeNs), inode: String(stat.ino) }; // prettier-ignore
    });
    const others = new Pins(vault, refuseNotice);
    await others.add('step-10', files);
    await Promise.all([others.add('step-10', files), new Pins(vault, refuseNotice).add('step-20', [])]);
    value(await store.mark('step-30', 'safe', 'x'));
    await tidy(store);
    assert.deepEqual(spares(vault), ['step-10@10', 'step-20@20', 'step-30@30']);
    assert.equal((await look(store))[0]?.pinned, true);
    await others.remove(files);
    assert.equal((await look(store))[0]?.pinned, undefined);
    await store.retain();
    assert.deepEqual(spares(vault), ['step-20@20', 'step-30@30']);
  });
});

test('what is pinned stays in quarantine too, by its content; a pin that cannot be read holds everything', async (t) => {
  const { store, dir, vault, clock, notices } = await opened(t, steps(10, 20, 30, 40, 50));
  await look(store);
  // as it is beside a supervisor, which has taken no spare of it yet
  const files = readdirSync(path.join(dir, 'step-50')).map((name) => {
    const stat = statSync(path.join(dir, 'step-50', name), { bigint: true });
    return { path: `step-50/${name}`, size: Number(stat.size), mtimeNs: String(stat.mtimeNs), inode: String(stat.ino) }; // prettier-ignore
  });
  await new Pins(vault, refuseNotice).add('step-50', files);
  const txs: string[] = [];
  for (const step of [50, 40, 30, 20]) {
    txs.push(value(await store.rollback({ moves: [`step-${step}`], reason: 'x' })).tx);
    await look(store);
    clock.pass(86_400_000);
  }
  const quarantined = (): string[] => readdirSync(path.join(vault, 'quarantine')).sort();
  const damaged = path.join(vault, 'pins', 'torn.json');
  writeFileSync(damaged, '{"schemaVersion"');
  clock.pass(30 * 86_400_000);
  await tidy(store);
  assert.deepEqual(quarantined(), txs);
  assert.ok(notices.some((text) => text.includes(`${damaged} cannot be read`)));
  rmSync(damaged);
  lay(dir, steps(60));
  await tidy(store);
  assert.deepEqual(quarantined(), [txs[0], ...txs.slice(2)]);
});

describe('the checkpoint folder itself', () => {
  test('what came under an old name since the last look stays', async (t) => {
    const { store, dir } = await opened(t, steps(10, 20, 30, 40, 50));
    await look(store);
    lay(dir, { 'other/model.npz': npz(99) });
    rmSync(path.join(dir, 'step-20'), { recursive: true });
    renameSync(path.join(dir, 'other'), path.join(dir, 'step-20'));
    value(await store.prune({ dryRun: false, folder: true }));
    assert.deepEqual(readdirSync(dir).sort(), ['step-10', 'step-20', 'step-40', 'step-50']);
  });

  test('is pruned only when told, never below the floor, and what is half or foreign stays', async (t) => {
    const tree = { ...steps(10, 20, 30, 40, 50), 'notes.txt': 'mine' };
    const { store, dir, notices, vault } = await opened(t, tree);
    mkdirSync(path.join(dir, 'step-60'));
    await look(store);
    const shown = value(await store.prune({ dryRun: true, folder: true }));
    const gone = shown.drop
      .filter(({ kind }) => kind === 'checkpoint')
      .map(({ id, because }) => `${id}: ${because}`);
    // 10 is the next to be proven safe
    assert.deepEqual(gone, ['step-20: older than the last 2, and no other rule keeps it', 'step-30: older than the last 2, and no other rule keeps it']); // prettier-ignore
    assert.equal(readdirSync(dir).length, 7, 'shown only');
    value(await store.prune({ dryRun: false, folder: true }));
    assert.deepEqual(readdirSync(dir).sort(), ['notes.txt', 'step-10', 'step-40', 'step-50', 'step-60']);
    assert.deepEqual([notices, inTrash(vault)], [[], []]);
  });

  test('in one that was only guessed, what this run did not write stays', async (t) => {
    const dir = path.join(scratch(t), 'ckpts');
    lay(dir, steps(10, 20, 30, 40, 50));
    const { store } = await open(t, dir, { guessed: true, keep: { ...usualRules, folder: true } });
    await look(store);
    assert.deepEqual(value(await store.prune({ dryRun: false, folder: true })).drop, []);
    assert.equal(readdirSync(dir).length, 5);
  });

  test('by the supervisor where the configuration says so, and said', async (t) => {
    const { store, dir, notices } = await opened(t, steps(10, 20, 30, 40), { folder: true });
    value(await store.inspect({ live: false, budgetMs: 60_000 }));
    value(await store.mark('step-40', 'safe', 'x'));
    await tidy(store);
    assert.deepEqual(readdirSync(dir).sort(), ['step-30', 'step-40']);
    assert.match(notices.join('\n'), /retention removed from .*ckpts: step-10 \(older than the last 2.*\), step-20 .*; \S+ KiB freed/); // prettier-ignore
  });
});

describe('a disk that is nearly full', () => {
  test('the copy of what the folder still holds goes first, and that is said with its bytes', async (t) => {
    const { store, dir, vault, notices } = await opened(t, { 'ckpt.npz': npz(1, 300_000) });
    await tidy(store);
    assert.equal(spares(vault).length, 1);
    free(t, () => mib);
    await look(store);
    await store.retain();
    assert.deepEqual(spares(vault), []);
    assert.ok(existsSync(path.join(dir, 'ckpt.npz')));
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /the disk of .* is nearly full: the next checkpoint lacks 351\.\d KiB; removed the spare ckpt\.npz@\S+ \(in the way of the next save\), 29\d\.\d KiB freed/); // prettier-ignore
    await store.keep({ live: true });
    assert.deepEqual(spares(vault), [], 'none is taken that would have to go again');
  });

  test('what is nowhere else stays, and that is said once', async (t) => {
    const { store, dir, vault, notices } = await opened(t, { 'ckpt.npz': npz(1) });
    await tidy(store);
    writeFileSync(path.join(dir, 'ckpt.npz'), npz(2).subarray(0, 3000)); // torn
    free(t, () => 1000);
    for (let i = 0; i < 3; i++) {
      await look(store);
      await store.retain();
    }
    assert.equal(spares(vault).length, 1);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /nearly full: .*; what is left in the vault may be needed and stays/);
  });

  test('then what old rollbacks moved away, never the newest, which can be undone', async (t) => {
    const { store, dir, vault, clock, notices } = await opened(t, steps(10, 20, 30, 40));
    const txs: string[] = [];
    for (const step of [40, 30, 20]) {
      await look(store);
      txs.push(value(await store.rollback({ moves: [`step-${step}`], reason: 'x' })).tx);
      clock.pass(1000);
    }
    free(t, () => 1000);
    await look(store);
    await store.retain();
    assert.deepEqual(readdirSync(path.join(vault, 'quarantine')), [txs[2]]);
    assert.deepEqual(readdirSync(path.join(vault, 'journal')), [`${txs[2]}.json.done`]);
    assert.match(notices.at(-1) ?? '', new RegExp(`removed what was quarantined by ${txs[0]}`));
    value(await store.undo());
    assert.deepEqual(readdirSync(dir).sort(), ['step-10', 'step-20']);
  });
});

test('quarantine has its own budget: the last two, and those of the last seven days', async (t) => {
  const { store, vault, clock } = await opened(t, steps(10, 20, 30, 40, 50));
  const txs: string[] = [];
  for (const step of [50, 40, 30, 20]) {
    await look(store);
    txs.push(value(await store.rollback({ moves: [`step-${step}`], reason: 'x' })).tx);
    clock.pass(86_400_000);
  }
  await tidy(store);
  assert.deepEqual(readdirSync(path.join(vault, 'quarantine')).sort(), txs);
  clock.pass(3.5 * 86_400_000);
  lay(store.dir, steps(60));
  await tidy(store);
  assert.deepEqual(readdirSync(path.join(vault, 'quarantine')).sort(), txs.slice(1));
  clock.pass(30 * 86_400_000);
  lay(store.dir, steps(70));
  await tidy(store);
  assert.deepEqual(readdirSync(path.join(vault, 'quarantine')).sort(), txs.slice(2));
});

test('cut off anywhere, or failing, what was to go is whole or gone, and the next start removes the rest', async (t) => {
  const base = scratch(t);
  const tx = 'tx-1';
  let number = 0;
  const stage = (): { vault: string; transaction: Transaction } => {
    const vault = path.join(base, String(number++));
    const journal = path.join(vault, 'journal', `${tx}.json.done`);
    const intent = { schemaVersion: 2, tx, at: 1, dir: '/ckpts', reason: 'x', puts: [], moves: [] };
    lay(vault, { 'spares/a/spare.json': '{}', 'spares/a/files/x': 'x', 'quarantine/tx-1/step-30': 'y' });
    lay(vault, { 'journal/tx-1.json.done': JSON.stringify(intent) });
    return { vault, transaction: { tx, at: 1, pinned: false, bytes: 1, undone: false, journal } };
  };
  const cases = await everyFault(
    () => Promise.resolve(stage()),
    async ({ vault, transaction }) => {
      await discard(vault, [path.join(vault, 'spares', 'a')]);
      await removeTransaction(vault, transaction);
    },
    async ({ stage: { vault }, crashed, error }) => {
      const left = [...bytesIn(vault).keys()].filter((name) => !name.startsWith('trash'));
      const [spare, quarantined] = ['spares', 'quarantine'].map((one) =>
        left.filter((name) => name.startsWith(one)),
      );
      assert.ok(spare?.length === 0 || spare?.length === 2, `half a spare: ${String(spare)}`);
      if (left.includes('journal/tx-1.json.done'))
        assert.equal(quarantined?.length, 1, 'what can be undone is whole');
      assert.ok(crashed || error === undefined || errorCode(error) !== undefined, 'the system’s own error');
      await finishRemovals(vault);
      await emptyTrash(vault);
      const now = [...bytesIn(vault).keys()];
      if (quarantined?.length === 1 && !left.includes('journal/tx-1.json.done')) assert.ok(!now.some((name) => name.startsWith('quarantine'))); // prettier-ignore
      assert.ok(!now.some((name) => name.startsWith('trash') || name.endsWith('.pruned')), now.join());
    },
  );
  assert.ok(cases >= 30, `only ${cases}`);
});

describe('the reserve', () => {
  const flags = ['--user', '--map-root-user', '--mount'] as const;
  const unshared = process.getuid?.() === 0 ? (['--mount'] as const) : flags;
  const onFullDisk = (
    t: TestContext,
    reserve: string,
  ): { laid: boolean; ok: boolean; code?: string; left: string[] } => {
    const disk = scratch(t);
    const child = path.join(import.meta.dirname, 'full-disk-child.js');
    const script = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" "$3" "$1" "$4"';
    const argv = [...unshared, 'sh', '-c', script, 'sh', disk, process.execPath, child, reserve];
    return JSON.parse(execFileSync('unshare', argv, { encoding: 'utf8' })) as ReturnType<typeof onFullDisk>;
  };
  const skip = cannotUnshare(...unshared, 'sh', '-c', 'mount -t tmpfs tmpfs /mnt');

  test('a rollback works on a disk that takes not a byte more', { skip }, (t) => {
    assert.deepEqual(onFullDisk(t, 'with'), { laid: true, ok: true, left: ['step-10.npz'] });
    const without = onFullDisk(t, 'without');
    assert.deepEqual([without.ok, without.code], [false, 'ENOSPC'], 'it is the reserve that does it');
    assert.deepEqual(without.left, ['step-10.npz', 'step-20.npz', 'step-30.npz']);
  });

  test('an undo on a full disk takes it', async (t) => {
    const { store, dir, vault } = await opened(t, steps(10, 20));
    await tidy(store);
    value(await store.rollback({ target: 'step-10', moves: ['step-20'], reason: 'x' }));
    const reserve = path.join(vault, 'reserve');
    assert.ok(existsSync(reserve));
    const real = files.mkdir;
    // from the commit on, until there is room
    t.mock.method(files, 'mkdir', ((...args: Parameters<typeof real>) =>
      existsSync(reserve)
        ? Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }))
        : real(...args)) as typeof real);
    value(await store.undo());
    assert.deepEqual(readdirSync(dir).sort(), ['step-10', 'step-20']);
    assert.deepEqual(value(await store.recover()), []);
  });

  test('is laid again once there is room', async (t) => {
    const { store, dir, vault } = await opened(t, steps(10));
    await tidy(store);
    assert.equal(statSync(path.join(vault, 'reserve')).size, 256 * 1024);
    rmSync(path.join(vault, 'reserve'));
    lay(dir, steps(20));
    await tidy(store);
    assert.equal(statSync(path.join(vault, 'reserve')).size, 256 * 1024);
    const bytes = readFileSync(path.join(vault, 'reserve'));
    assert.ok(zlibSize(bytes) > 200_000, 'a file system that compresses lays it aside all the same');
  });
});

const zlibSize = (bytes: Buffer): number => zipOf([{ name: 'x', data: bytes, deflate: true }]).length;
