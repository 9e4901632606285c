import assert from 'node:assert/strict';
import { appendFileSync, existsSync, linkSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'; // prettier-ignore
import fs from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Copier } from '../../src/checkpoints/spares/copy.js';
import type { Spare } from '../../src/checkpoints/spares/spare.js';
import { sweepDrafts, takeSpare, type TakeOrder } from '../../src/checkpoints/spares/take.js';
import type { CheckpointStore } from '../../src/supervisor/ports.js';
import { walkDir } from '../../src/util/os/dir-walk.js';
import { errorCode, files } from '../../src/util/os/durable.js';
import { everyFault } from '../support/faults.js';
import {
  bytesIn,
  lay,
  look,
  npz,
  open,
  scratch,
  told,
  trainerFolder,
  value,
  type Opened,
} from './samples.js';

const folders = (...steps: number[]): Record<string, Buffer | string> =>
  // none says which was the best: retention would never let go of it
  Object.assign({}, ...steps.map((step) => trainerFolder(step, { [`checkpoint-${step}/trainer_state.json`]: JSON.stringify({ global_step: step }) }))) as Record<string, Buffer | string>; // prettier-ignore

async function opened(
  t: TestContext,
  tree: Readonly<Record<string, Buffer | string>>,
  options: Parameters<typeof open>[2] = {},
): Promise<
  Opened & { readonly dir: string; readonly again: (more?: Parameters<typeof open>[2]) => Promise<Opened> }
> {
  const dir = path.join(scratch(t), 'ckpts');
  lay(dir, tree);
  const first = await open(t, dir, options);
  return { ...first, dir, again: (more = {}) => open(t, dir, { ...options, ...more }) };
}

/** Looks, keeps what is worth it, and lets go what retention does not keep. */
async function keep(store: CheckpointStore, live = false): Promise<void> {
  await look(store);
  await store.keep({ live });
  await look(store);
  await store.retain();
}

const shelfOf = (store: CheckpointStore): string => path.join(store.vault ?? '', 'spares');
const kept = (store: CheckpointStore): string[] =>
  readdirSync(shelfOf(store)).map((name) => decodeURIComponent(name)).sort(); // prettier-ignore
const spareFile = (store: CheckpointStore, id: string, name: string): string =>
  path.join(shelfOf(store), encodeURIComponent(id), 'files', name);
const spared = async (store: CheckpointStore): Promise<string[]> =>
  (await look(store)).filter((fact) => fact.spare).map((fact) => `${fact.id}:${fact.standing}`);

describe('a folder a step', () => {
  test('is kept by hard links, and told of once the trainer has removed it', async (t) => {
    const { store, dir, again, notices } = await opened(t, folders(10, 20));
    await keep(store);
    assert.deepEqual(kept(store), ['checkpoint-10@10', 'checkpoint-20@20']);
    const name = 'checkpoint-20/model.safetensors';
    assert.equal(
      statSync(spareFile(store, 'checkpoint-20@20', name)).ino,
      statSync(path.join(dir, name)).ino,
    );
    assert.deepEqual(told(await look(store)), ['checkpoint-10:verified', 'checkpoint-20:verified']);

    rmSync(path.join(dir, 'checkpoint-20'), { recursive: true });
    for (const one of [store, (await again()).store, (await again({ readOnly: true })).store]) {
      const facts = await look(one);
      assert.deepEqual(told(facts), ['checkpoint-10:verified', 'checkpoint-20@20:verified']);
      assert.equal(facts[1]?.spare, true);
      assert.equal(facts[1].path, path.join(store.dir, 'checkpoint-20'));
      assert.deepEqual([facts[1].step, facts[1].number, facts[1].ours], [20, 20, false]);
      assert.match(facts[1].why, /^kept in the vault; every byte was read/);
    }
    assert.deepEqual(notices, []);
  });

  test('that was gone back past is in doubt, until that is reversed: its training was left', async (t) => {
    const { store, clock } = await opened(t, folders(10, 20));
    await keep(store);
    clock.pass(1000);
    value(await store.rollback({ target: 'checkpoint-10', moves: ['checkpoint-20'], reason: 'by hand' }));
    const facts = await look(store);
    assert.deepEqual(told(facts), ['checkpoint-10:verified', 'checkpoint-20@20:suspect']);
    assert.match(facts[1]?.why ?? '', /^the rollback \S+ went back past it$/);
    value(await store.undo());
    assert.deepEqual(told(await look(store)), ['checkpoint-10:verified', 'checkpoint-20:verified']);
    value(await store.rollback({ target: 'checkpoint-20@20', moves: ['checkpoint-20'], reason: 'by name' }));
    assert.deepEqual(told(await look(store)), ['checkpoint-10:verified', 'checkpoint-20:verified']);
  });

  test('goes on earning its proof in the vault, and its mark stays with it', async (t) => {
    const { store, dir, clock, again } = await opened(t, folders(10, 20));
    await keep(store);
    rmSync(path.join(dir, 'checkpoint-10'), { recursive: true });
    await look(store);
    await store.credit({ ms: 0, steps: 0 });
    await store.credit({ ms: 120_000, steps: 50 });
    assert.deepEqual(told(await look(store)), ['checkpoint-10@10:safe', 'checkpoint-20:safe']);
    value(await store.mark('checkpoint-10@10', 'tainted', 'NaN soon after it'));
    clock.pass(1);
    const next = (await again()).store;
    assert.deepEqual(told(await look(next)), ['checkpoint-10@10:tainted', 'checkpoint-20:safe']);
  });

  test('is dropped once a newer one is safe, the trainer’s own files with it untouched; no more than a few stay', async (t) => {
    const { store, dir } = await opened(t, folders(10, 20, 30));
    await keep(store);
    assert.deepEqual(kept(store), ['checkpoint-10@10', 'checkpoint-20@20', 'checkpoint-30@30'].slice(-3));
    value(await store.mark('checkpoint-20', 'safe', 'x'));
    await keep(store);
    assert.deepEqual(kept(store), ['checkpoint-20@20', 'checkpoint-30@30']);
    assert.ok(existsSync(path.join(dir, 'checkpoint-10', 'model.safetensors')));
    for (const step of [40, 50, 60]) {
      lay(dir, folders(step), 60_000 - step);
      await keep(store);
    }
    await keep(store);
    // the safe one, the next to be proven, the newest two
    assert.deepEqual(kept(store), [20, 30, 50, 60].map((step) => `checkpoint-${step}@${step}`)); // prettier-ignore
  });

  test('that is written over in place is no longer kept by links: said once, copies from then on', async (t) => {
    const { store, dir, notices } = await opened(t, folders(10, 20));
    await keep(store);
    const name = 'checkpoint-20/optimizer.pt';
    const before = readFileSync(path.join(dir, name));
    writeFileSync(path.join(dir, name), Buffer.concat([before, before]));
    await keep(store);
    await keep(store);
    assert.deepEqual(kept(store), ['checkpoint-10@10']);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /checkpoint-20 was written over in place.*copies are kept from now on/);
    writeFileSync(path.join(dir, name), before);
    await keep(store);
    assert.deepEqual(kept(store), ['checkpoint-10@10', 'checkpoint-20@20']);
    assert.notEqual(
      statSync(spareFile(store, 'checkpoint-20@20', name)).ino,
      statSync(path.join(dir, name)).ino,
    );
  });

  test('is copied where there are no hard links, and that is said once', async (t) => {
    const { store, notices } = await opened(t, folders(10, 20));
    t.mock.method(files, 'link', () => Promise.reject(Object.assign(new Error('EPERM: not permitted'), { code: 'EPERM' }))); // prettier-ignore
    await keep(store);
    assert.deepEqual(kept(store), ['checkpoint-10@10', 'checkpoint-20@20']);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /no hard links \(EPERM\): spares of checkpoints are copies/);
  });

  test('a link of which the bytes changed and whose checkpoint is gone is corrupt, and stays', async (t) => {
    const { store, dir } = await opened(t, folders(10, 20));
    await keep(store);
    rmSync(path.join(dir, 'checkpoint-20'), { recursive: true });
    appendFileSync(spareFile(store, 'checkpoint-20@20', 'checkpoint-20/config.json'), ' ');
    await keep(store);
    const fact = (await look(store)).at(-1);
    assert.deepEqual([fact?.id, fact?.standing], ['checkpoint-20@20', 'corrupt']);
    assert.match(fact?.why ?? '', /config\.json is not as it was kept/);
  });
});

describe('one that is rewritten in place', () => {
  const save = (dir: string, seed: number, ageMs: number): void => lay(dir, { 'ckpt.npz': npz(seed) }, ageMs);

  test('is copied after each save; the older version has its own standing, proof and step', async (t) => {
    const { store, dir, clock } = await opened(t, {});
    save(dir, 1, 90_000);
    value(await store.inspect({ live: true, step: 100, budgetMs: 1000 }));
    clock.pass(3000);
    value(await store.inspect({ live: true, step: 110, budgetMs: 1000 }));
    await store.keep({ live: true });
    await store.credit({ ms: 0, steps: 0 });
    await store.credit({ ms: 60_000, steps: 30 });
    assert.deepEqual(kept(store), ['ckpt.npz@100']);
    assert.deepEqual(told(await look(store)), ['ckpt.npz:verified']);

    save(dir, 2, 30_000);
    const facts = await look(store, { step: 200 });
    assert.deepEqual(told(facts), ['ckpt.npz@100:verified', 'ckpt.npz:verified']);
    assert.deepEqual(facts.map((fact) => fact.step), [100, undefined]); // prettier-ignore
    assert.deepEqual(
      bytesIn(path.dirname(spareFile(store, 'ckpt.npz@100', ''))).get('files/ckpt.npz'),
      npz(1),
    );
    await store.credit({ ms: 0, steps: 0 });
    await store.credit({ ms: 60_000, steps: 20 });
    // the first half was earned before it was written over
    assert.deepEqual(told(await look(store)), ['ckpt.npz@100:safe', 'ckpt.npz:verified']);
  });

  test('torn: what was kept is there, and put back by hand it has its standing again', async (t) => {
    const { store, dir, again } = await opened(t, { 'ckpt.npz': npz(1) });
    await keep(store);
    value(await store.mark('ckpt.npz', 'safe', 'healthy training went on after it'));
    const [id = ''] = kept(store);
    writeFileSync(path.join(dir, 'ckpt.npz'), npz(2).subarray(0, 700));
    assert.deepEqual(told(await look(store)), [`${id}:safe`, 'ckpt.npz:corrupt']);
    assert.deepEqual(kept(store), [id]);
    writeFileSync(path.join(dir, 'ckpt.npz'), readFileSync(spareFile(store, id, 'ckpt.npz')));
    assert.deepEqual(told(await look((await again()).store)), ['ckpt.npz:safe']);
  });

  test('put back by a rollback it has its standing, proof and step again, and is not read once more for that', async (t) => {
    const { store, dir } = await opened(t, { 'ckpt.npz': npz(1) });
    await keep(store);
    await store.credit({ ms: 0, steps: 0 });
    await store.credit({ ms: 119_999, steps: 60 });
    const [id = ''] = kept(store);
    writeFileSync(path.join(dir, 'ckpt.npz'), npz(2).subarray(0, 700));
    await look(store);
    value(await store.rollback({ target: id, moves: ['ckpt.npz'], reason: 'x' }));
    assert.deepEqual(readFileSync(path.join(dir, 'ckpt.npz')), npz(1));
    const reads = t.mock.method(files, 'open');
    assert.deepEqual(told(await look(store)), ['ckpt.npz:verified']);
    assert.deepEqual(reads.mock.calls.filter((call) => String(call.arguments[0]).endsWith('ckpt.npz')), []); // prettier-ignore
    reads.mock.restore();
    await store.credit({ ms: 0, steps: 0 });
    await store.credit({ ms: 1, steps: 0 });
    assert.deepEqual(told(await look(store)), ['ckpt.npz:safe']);
    assert.deepEqual(kept(store), [id]);
  });

  test('damage to the file is none of its copy, which is rolled back to; damage to the copy is none of the file', async (t) => {
    const { store, dir, again } = await opened(t, { 'ckpt.npz': npz(1) });
    await keep(store);
    const [id = ''] = kept(store);
    // the same size and time, another byte: no stat tells
    const flip = (file: string): void => {
      const { atime, mtime } = statSync(file);
      const bytes = readFileSync(file);
      bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
      writeFileSync(file, bytes);
      utimesSync(file, atime, mtime);
    };
    flip(path.join(dir, 'ckpt.npz'));
    const second = await again();
    second.clock.pass(1000);
    await look(second.store);
    const refused = await second.store.rollback({ target: 'ckpt.npz', moves: [], reason: 'x' });
    assert.ok(!refused.ok && /"ckpt\.npz" is damaged/.test(refused.error.message));
    assert.deepEqual(told(await look(second.store)).sort(), ['ckpt.npz:corrupt', `${id}:verified`]);
    const third = await again();
    assert.deepEqual(told(await look(third.store)).sort(), ['ckpt.npz:corrupt', `${id}:verified`]);
    value(await third.store.rollback({ target: id, moves: ['ckpt.npz'], reason: 'x' }));
    assert.deepEqual(readFileSync(path.join(dir, 'ckpt.npz')), npz(1));

    rmSync(path.join(dir, 'ckpt.npz'));
    flip(spareFile(third.store, id, 'ckpt.npz'));
    assert.deepEqual(told(await look(third.store)), [`${id}:verified`]);
    assert.ok(!(await third.store.rollback({ target: id, moves: [], reason: 'x' })).ok);
    assert.deepEqual(told(await look(third.store)), [`${id}:corrupt`], 'the next choice is another one');
    assert.deepEqual(told(await look((await again()).store)), [`${id}:corrupt`]);
  });

  test('a copy is thrown away if the file changes under it', async (t) => {
    const { store, dir, notices } = await opened(t, { 'ckpt.npz': npz(1) });
    await look(store);
    const real = files.open;
    const opening = t.mock.method(files, 'open', (async (...args: Parameters<typeof real>) => {
      const handle = await real(...args);
      if (String(args[0]).includes('/files/')) appendFileSync(path.join(dir, 'ckpt.npz'), 'more');
      return handle;
    }) as typeof real);
    await store.keep({ live: true });
    opening.mock.restore();
    assert.deepEqual([readdirSync(shelfOf(store)), notices], [[], []]);
    writeFileSync(path.join(dir, 'ckpt.npz'), npz(2));
    await keep(store);
    assert.equal(kept(store).length, 1);
  });

  test('where blocks can be shared, that is the copy: still read once, and thrown away if it is not what was verified', async (t) => {
    const { store, dir, again } = await opened(t, { 'ckpt.npz': npz(1) });
    const cloning = t.mock.method(files, 'copyFile', (from: string, to: string) => fs.copyFile(from, to));
    await keep(store);
    const [id = ''] = kept(store);
    assert.equal(cloning.mock.callCount(), 1);
    assert.deepEqual(readFileSync(spareFile(store, id, 'ckpt.npz')), npz(1));
    const record = JSON.parse(readFileSync(path.join(shelfOf(store), encodeURIComponent(id), 'spare.json'), 'utf8')) as Spare; // prettier-ignore
    assert.match(record.files[0]?.digest ?? '', /^xxh3-64:/);
    cloning.mock.mockImplementation((_from: string, to: string) => fs.writeFile(to, npz(3)));
    writeFileSync(path.join(dir, 'ckpt.npz'), npz(2));
    await keep((await again()).store);
    assert.deepEqual(kept(store), [id]);
  });

  test('a copy is given up when nobody waits for it, and leaves nothing', async (t) => {
    const { store, notices } = await opened(t, { 'ckpt.npz': npz(1, 6_000_000) });
    await look(store);
    const abort = new AbortController();
    const real = files.open;
    t.mock.method(files, 'open', (async (...args: Parameters<typeof real>) => {
      const handle = await real(...args);
      if (String(args[0]).includes('/files/')) abort.abort();
      return handle;
    }) as typeof real);
    await store.keep({ live: true, signal: abort.signal });
    assert.deepEqual([readdirSync(shelfOf(store)), notices], [[], []]);
  });

  test('saved faster than five copies take, only what is there between attempts is copied; said once', async (t) => {
    const { store, dir, clock, notices } = await opened(t, { 'ckpt.npz': npz(1) });
    let mono = 0;
    t.mock.method(clock, 'mono', () => mono++ * 1000);
    await keep(store, true);
    mono = Math.ceil(mono / 1000);
    const first = kept(store);
    clock.mono = () => 3000;
    save(dir, 2, 60_000);
    await keep(store, true);
    await keep(store, true);
    assert.deepEqual(kept(store), first);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /ckpt\.npz is saved faster than it can be copied/);
    await keep(store, false);
    assert.equal(kept(store).length, 2);
  });

  test('a disk without room for the copy and the next save: none, and that is said once', async (t) => {
    const { store, notices } = await opened(t, { 'ckpt.npz': npz(1) });
    const real = fs.statfs;
    t.mock.method(fs, 'statfs', (async (...args: Parameters<typeof real>) => Object.assign(await real(...args), { bsize: 1, bavail: 1024 * 1024 + 10_000 })) as typeof real); // prettier-ignore
    await keep(store);
    await keep(store);
    assert.deepEqual(readdirSync(shelfOf(store)), []);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /would leave no room for the next save/);
  });
});

test('a pinned one stays though newer ones are safe; unpinned it goes', async (t) => {
  const { store, again } = await opened(t, folders(10, 20, 30));
  value(await store.pin('checkpoint-10', true));
  value(await store.mark('checkpoint-30', 'safe', 'x'));
  await keep(store);
  assert.deepEqual(kept(store), ['checkpoint-10@10', 'checkpoint-20@20', 'checkpoint-30@30']);
  const next = await again();
  assert.deepEqual((await look(next.store)).map((fact) => fact.pinned), [true, undefined, undefined]); // prettier-ignore
  value(await next.store.pin('checkpoint-10', false));
  await keep(next.store);
  assert.deepEqual(kept(next.store), ['checkpoint-20@20', 'checkpoint-30@30']);
  assert.ok(!(await next.store.pin('checkpoint-99', true)).ok);
});

test('after a host reboot what was not flushed is read again; what was flushed is not', async (t) => {
  const { store, dir, again } = await opened(
    t,
    { 'step-1.npz': npz(1), 'step-2.npz': npz(2) },
    { bootId: 'a' },
  );
  const real = files.open;
  const opening = t.mock.method(files, 'open', (async (...args: Parameters<typeof real>) => {
    const handle = await real(...args);
    if (String(args[0]).endsWith('step-2.npz'))
      handle.sync = () => Promise.reject(Object.assign(new Error('EINVAL'), { code: 'EINVAL' }));
    return handle;
  }) as typeof real);
  await look(store);
  await store.credit({ ms: 0, steps: 0 });
  await store.credit({ ms: 120_000, steps: 50 });
  opening.mock.restore();
  const readBy = async (bootId: string): Promise<readonly string[]> => {
    const next = (await again({ bootId })).store;
    const reads = t.mock.method(files, 'open');
    const facts = await look(next);
    reads.mock.restore();
    assert.deepEqual(told(facts), ['step-1.npz:safe', 'step-2.npz:safe'], 'their proof stands');
    return [...new Set(reads.mock.calls.map((call) => path.basename(String(call.arguments[0]))).filter((name) => name.endsWith('.npz')))]; // prettier-ignore
  };
  assert.deepEqual(await readBy('a'), []);
  assert.deepEqual(await readBy('b'), ['step-2.npz']);
  assert.deepEqual(await readBy('b'), [], 'now it is flushed');
  assert.equal(readdirSync(dir).length, 2);
});

test('after a host reboot the same size and time, but other bytes: corrupt', async (t) => {
  const { store, dir, again } = await opened(t, { 'step-1.npz': npz(1), 'a.bin': 'x' }, { bootId: 'a' });
  await look(store);
  const file = path.join(store.vault ?? '', 'manifests', 'step-1.npz.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { files: { digest: string }[]; synced?: true };
  delete manifest.synced;
  for (const one of manifest.files) one.digest = 'xxh3-64:0000000000000000';
  writeFileSync(file, JSON.stringify(manifest));
  const fact = (await look((await again({ bootId: 'b' })).store))[0];
  assert.equal(fact?.standing, 'corrupt');
  assert.match(fact.why, /bytes are not those that were verified/);
  assert.ok(existsSync(path.join(dir, 'step-1.npz')));
});

test('what a killed process left half-made is removed; a damaged record is said and left', async (t) => {
  const { store, again, dir } = await opened(t, folders(10));
  await keep(store);
  const draft = path.join(shelfOf(store), '.checkpoint-10%4010.77.tmp', 'files');
  lay(draft, { x: 'half' });
  const damaged = path.join(shelfOf(store), 'other');
  lay(damaged, { 'spare.json': '{"torn' });
  linkSync(path.join(dir, 'checkpoint-10', 'config.json'), path.join(damaged, 'c'));
  const next = await again();
  await keep(next.store);
  await keep(next.store);
  assert.deepEqual(kept(next.store), ['checkpoint-10@10', 'other']);
  assert.equal(next.notices.length, 1);
  assert.match(next.notices[0] ?? '', /other\/spare\.json cannot be read/);
  const forged = { schemaVersion: 1, id: 'x@1', of: '../../x', how: 'copy', members: ['../x'], files: [{ path: '../x', size: 1, mtimeNs: '1', inode: '1' }], folders: [], runId: '', takenAt: 1 }; // prettier-ignore
  writeFileSync(path.join(damaged, 'spare.json'), JSON.stringify(forged));
  const third = await again();
  assert.deepEqual(await spared(third.store), []);
  assert.match(third.notices.join(), /no record of a spare/);
});

test('nothing is kept by a look that only reads, nor of what a guessed folder held before', async (t) => {
  const { store } = await opened(t, folders(10), { readOnly: true });
  await keep(store);
  assert.equal(store.vault, undefined);
  const guessed = await opened(t, folders(10), { guessed: true });
  await keep(guessed.store);
  assert.deepEqual(readdirSync(shelfOf(guessed.store)), []);
});

for (const how of ['copy', 'links'] as const) {
  test(`whatever goes wrong where while one is kept by ${how}: all of it or nothing, and it can be kept after it`, async (t) => {
    const [dir, vaults] = [path.join(scratch(t), 'ckpts'), scratch(t)];
    lay(dir, { 'step-10/model.npz': npz(1, 200) });
    let stages = 0;
    const order = async (vault: string): Promise<TakeOrder> => {
      const { files: stamps, folders } = await walkDir(dir, 'step-10', { maxFiles: 9, maxDepth: 9 });
      const unit = { id: 'step-10', members: [], mayBeStep: true, expected: new Map<string, string>(), files: stamps, folders }; // prettier-ignore
      const spare: Spare = { schemaVersion: 1, id: 'step-10@10', of: 'step-10', how, members: ['step-10'], files: stamps, folders, runId: '', takenAt: 1 }; // prettier-ignore
      return { dir, vault, unit, spare, copier: new Copier() };
    };
    const cases = await everyFault(
      () => order(path.join(vaults, String(stages++))),
      takeSpare,
      async ({ stage, crashed, error, fault, name }) => {
        const shelf = path.join(stage.vault, 'spares');
        const found = existsSync(shelf) ? readdirSync(shelf) : [];
        for (const one of found.filter((entry) => !entry.startsWith('.')))
          assert.deepEqual([...bytesIn(path.join(shelf, one, 'files'))], [...bytesIn(dir)], name);
        if (!crashed && error !== undefined) assert.ok(errorCode(error), 'the system’s own error');
        if (!crashed && !fault.startsWith('disk'))
          assert.ok(
            found.every((entry) => !entry.startsWith('.')),
            name,
          );
        if (found.length > 0 && !found.some((entry) => !entry.startsWith('.'))) {
          const again = await takeSpare(await order(stage.vault));
          assert.ok(typeof again === 'object');
          await sweepDrafts(stage.vault);
          assert.equal(readdirSync(shelf).length, 1);
        }
      },
    );
    assert.ok(cases >= 40, `only ${cases} cases`);
  });
}

test('what a disk refuses ends no run: it is said, once', async (t) => {
  const { store, notices } = await opened(t, folders(10));
  t.mock.method(files, 'link', () => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }))); // prettier-ignore
  await keep(store);
  await keep(store);
  assert.deepEqual(notices, ['no spare of checkpoint-10 could be kept: EIO: i/o error; until one can, what the trainer removes or writes over is gone']); // prettier-ignore
});
