import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'; // prettier-ignore
import path from 'node:path';
import { describe, test } from 'node:test';
import { finishRollbacks, rollBack, undoRollback } from '../../src/checkpoints/rollback/transaction.js';
import { look, lay, npz, open, scratch, told, trainerFolder, value } from './samples.js';
import { scenes, setUp, treeOf, type Scene } from './scenes.js';

const vaultOf = (dir: string): string => path.join(path.dirname(dir), `.${path.basename(dir)}.trainguard`);
const scene = (name: string): Scene => {
  const found = scenes[name];
  assert.ok(found, name);
  return found;
};

describe('what a rollback puts back', () => {
  test('has its mode and its times, and bytes of its own', async (t) => {
    const inPlace = scene('a file in place, out of a copy');
    const place = await setUp(inPlace, scratch(t));
    const [live, kept] = [
      path.join(place.dir, 'ckpt.pt'),
      path.join(place.vault, 'spares/one/files/ckpt.pt'),
    ];
    const [old, spare] = [statSync(live), statSync(kept)];
    const done = value(await rollBack(place, await inPlace.order(place)));
    const now = statSync(live);
    assert.deepEqual(readFileSync(live), readFileSync(kept));
    assert.equal(now.mode, old.mode);
    assert.ok(Math.abs(now.mtimeMs - spare.mtimeMs) < 0.01);
    assert.ok(now.ino !== spare.ino && now.nlink === 1, 'the next save would write through a hard link');
    assert.deepEqual(done.moved.map(({ id }) => id), ['ckpt.pt']); // prettier-ignore
    assert.equal(statSync(done.moved[0]?.to ?? '').ino, old.ino);
  });

  test('out of a hard-link tree is the very files, in a folder as old as they are', async (t) => {
    const tree = scene('a folder back out of a hard-link tree, over its damaged self');
    const place = await setUp(tree, scratch(t));
    value(await rollBack(place, await tree.order(place)));
    const [live, kept] = [place.dir, path.join(place.vault, 'spares/one/files')].map((root) => path.join(root, 'checkpoint-10')); // prettier-ignore
    const times = readdirSync(live ?? '').map((name) => statSync(path.join(live ?? '', name)).mtimeMs);
    assert.equal(statSync(path.join(live ?? '', 'optimizer.pt')).ino, statSync(path.join(kept ?? '', 'optimizer.pt')).ino); // prettier-ignore
    assert.ok(Math.abs(statSync(live ?? '').mtimeMs - Math.max(...times)) < 0.01);
  });

  test('a kept copy whose bytes have changed is refused, and nothing is changed', async (t) => {
    const inPlace = scene('a file in place, out of a copy');
    const parent = scratch(t);
    const place = await setUp(inPlace, parent);
    const order = await inPlace.order(place);
    const kept = path.join(place.vault, 'spares/one/files/ckpt.pt');
    const bytes = readFileSync(kept);
    bytes.writeUInt8(bytes.readUInt8(2000) ^ 1, 2000);
    writeFileSync(kept, bytes);
    const before = treeOf(parent);
    const refused = await rollBack(place, order);
    assert.ok(!refused.ok);
    assert.match(
      refused.error.message,
      /the copy of ckpt\.pt@1200 in the vault is damaged: ckpt\.pt: its bytes/,
    );
    assert.deepEqual(treeOf(parent), before);
    assert.deepEqual(readdirSync(path.join(place.vault, 'stage')), []);
    assert.deepEqual(readdirSync(path.join(place.vault, 'journal')), []);
  });

  test('a name that is done already answers what it did, and does nothing', async (t) => {
    const tree = scene('a folder a step');
    const parent = scratch(t);
    const place = await setUp(tree, parent);
    const order = { ...(await tree.order(place)), tx: 'group-1' };
    const done = value(await rollBack(place, order));
    lay(place.dir, trainerFolder(20));
    const after = treeOf(parent);
    assert.deepEqual(value(await rollBack(place, order)), done);
    assert.deepEqual(treeOf(parent), after);
  });

  test('what took its place after the commit is kept, too', async (t) => {
    const inPlace = scene('a file in place, out of a copy');
    const place = await setUp(inPlace, scratch(t));
    const order = await inPlace.order(place);
    value(await rollBack(place, { ...order, tx: 'cut' }));
    // as if it had been cut off after the second name was given, and a training had saved since
    const journal = path.join(place.vault, 'journal', 'cut.json');
    renameSync(`${journal}.done`, journal);
    mkdirSync(path.join(place.vault, 'stage', 'cut'), { recursive: true });
    renameSync(path.join(place.dir, 'ckpt.pt'), path.join(place.vault, 'stage', 'cut', 'ckpt.pt'));
    writeFileSync(path.join(place.dir, 'ckpt.pt'), 'saved since');
    value(await finishRollbacks(place));
    assert.deepEqual(readFileSync(path.join(place.dir, 'ckpt.pt')), npz(1200));
    assert.equal(readFileSync(path.join(place.vault, 'quarantine/cut/ckpt.pt~1'), 'utf8'), 'saved since');
  });
});

describe('undo', () => {
  test('is refused where training has written since, naming what is in the way', async (t) => {
    const tree = scene('a folder a step');
    const parent = scratch(t);
    const place = await setUp(tree, parent);
    value(await rollBack(place, await tree.order(place)));
    lay(place.dir, trainerFolder(20));
    const after = treeOf(parent);
    const refused = await undoRollback(place, Date.now());
    assert.ok(!refused.ok);
    assert.match(
      refused.error.message,
      /is not undone: checkpoint-20 was written .*; move it elsewhere, then undo it/,
    );
    assert.deepEqual(treeOf(parent), after);
    rmSync(path.join(place.dir, 'checkpoint-20'), { recursive: true });
    value(await undoRollback(place, Date.now()));
    assert.deepEqual(readdirSync(place.dir), ['checkpoint-10', 'checkpoint-20', 'checkpoint-30']);
  });

  test('sees that a file was written over in place', async (t) => {
    const inPlace = scene('a file in place, out of a copy');
    const place = await setUp(inPlace, scratch(t));
    value(await rollBack(place, await inPlace.order(place)));
    writeFileSync(path.join(place.dir, 'ckpt.pt'), npz(1210));
    const refused = await undoRollback(place, Date.now());
    assert.ok(!refused.ok && /ckpt\.pt was written/.test(refused.error.message));
  });

  test('takes the last one back, then the one before, or the one that is named', async (t) => {
    const dir = path.join(scratch(t), 'ckpts');
    lay(dir, { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) });
    const { store, clock } = await open(t, dir);
    const roll = async (target: string, moves: string[]): Promise<string> => {
      clock.pass(1000);
      return value(await store.rollback({ target, moves, reason: 'by hand' })).tx;
    };
    const first = await roll('checkpoint-20', ['checkpoint-30']);
    const second = await roll('checkpoint-10', ['checkpoint-20']);
    const back = value(await store.undo());
    assert.deepEqual(back.restored, [{ id: 'checkpoint-20', to: path.join(dir, 'checkpoint-20') }]);
    const twice = await store.undo(second);
    assert.ok(!twice.ok && /is undone already/.test(twice.error.message));
    value(await store.undo(first));
    assert.deepEqual(told(await look(store)), ['checkpoint-10:verified', 'checkpoint-20:verified', 'checkpoint-30:verified']); // prettier-ignore
    const none = await store.undo();
    assert.ok(!none.ok && /there is no rollback to undo/.test(none.error.message));
    // an undo is a rollback itself: by its name it is reversed
    value(await store.undo(back.tx));
    assert.ok(!existsSync(path.join(dir, 'checkpoint-20')));
  });

  test('says that what was moved is gone from the vault', async (t) => {
    const tree = scene('a folder a step');
    const place = await setUp(tree, scratch(t));
    const { tx } = value(await rollBack(place, await tree.order(place)));
    rmSync(path.join(place.vault, 'quarantine', tx), { recursive: true });
    const refused = await undoRollback(place, Date.now());
    assert.ok(!refused.ok && /can no longer be undone/.test(refused.error.message));
  });

  test('of a rollback by an older version, which knew moves only', async (t) => {
    const tree = scene('a folder a step');
    const parent = scratch(t);
    const place = await setUp(tree, parent);
    const before = treeOf(parent);
    const { tx } = value(await rollBack(place, await tree.order(place)));
    const journal = path.join(place.vault, 'journal', `${tx}.json.done`);
    const { puts: _, ...old } = JSON.parse(readFileSync(journal, 'utf8')) as Record<string, unknown>;
    writeFileSync(journal, JSON.stringify({ ...old, schemaVersion: 1, pointers: [], restores: [] }));
    value(await undoRollback(place, Date.now()));
    assert.deepEqual(treeOf(parent), before);
  });
});

describe('the target', () => {
  test('is read once more: a damaged one is refused, marked, and the best one left is named', async (t) => {
    const dir = path.join(scratch(t), 'ckpts');
    lay(dir, { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) });
    await look((await open(t, dir)).store);
    // the same size and time, another byte: no stat tells
    const file = path.join(dir, 'checkpoint-20', 'optimizer.pt');
    const { atime, mtime } = lstatSync(file);
    const bytes = readFileSync(file);
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
    writeFileSync(file, bytes);
    utimesSync(file, atime, mtime);
    const { store, clock } = await open(t, dir);
    clock.pass(1000);
    await look(store);
    const refused = await store.rollback({ target: 'checkpoint-20', moves: ['checkpoint-30'], reason: 'x' });
    assert.ok(!refused.ok);
    assert.match(refused.error.message, /"checkpoint-20" is damaged: .*; nothing was moved; the best one left is "checkpoint-30"/); // prettier-ignore
    assert.deepEqual(told(await look(store)), ['checkpoint-10:verified', 'checkpoint-20:corrupt', 'checkpoint-30:verified']); // prettier-ignore
    assert.equal(readdirSync(dir).length, 3);
  });

  test('out of the vault goes back whole, with what is known of it; the plan says so before', async (t) => {
    const dir = path.join(scratch(t), 'ckpts');
    lay(dir, { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) });
    const { store } = await open(t, dir);
    await look(store, { step: 30 });
    await store.keep({ live: false });
    // the trainer keeps its newest only, and tears it
    for (const old of ['checkpoint-10', 'checkpoint-20']) rmSync(path.join(dir, old), { recursive: true });
    truncateSync(path.join(dir, 'checkpoint-30', 'model.safetensors'), 100);
    const facts = await look(store);
    const target = facts.findLast((one) => one.spare && one.standing === 'verified');
    assert.ok(target, told(facts).join());
    const request = { target: target.id, moves: ['checkpoint-30'], reason: 'torn' };
    const plan = value(await store.plan(request));
    assert.deepEqual(plan.restores.map(({ id }) => id), [target.id]); // prettier-ignore
    assert.deepEqual(plan.moves.map(({ id }) => id), ['checkpoint-30']); // prettier-ignore
    assert.equal(readdirSync(dir).length, 1, 'a plan changes nothing');
    const done = value(await store.rollback(request));
    const name = path.basename(target.path);
    assert.deepEqual(done.restored, [{ id: target.id, to: path.join(dir, name) }]);
    assert.deepEqual(readdirSync(dir), [name]);
    assert.ok(told(await look(store)).includes(`${name}:${target.standing}`));
    value(await store.undo());
    assert.deepEqual(readdirSync(dir), ['checkpoint-30']);
    assert.ok(existsSync(path.join(vaultOf(dir), 'spares')));
  });
});
