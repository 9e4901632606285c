import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { joinLines, type Line } from '../../src/checkpoints/many/join.js';
import { isGlob, matching, regExpOf } from '../../src/checkpoints/many/glob.js';
import { openCheckpointFolders } from '../../src/checkpoints/many/open.js';
import { openCheckpointStore } from '../../src/checkpoints/open.js';
import type { CheckpointFact } from '../../src/policy/checkpoint.js';
import { chooseRollback } from '../../src/policy/rollback-choice.js';
import type { CheckpointStore } from '../../src/supervisor/ports.js';
import { files } from '../../src/util/os/durable.js';
import { ok, type Result } from '../../src/util/result.js';
import { eventually } from '../support/eventually.js';
import { beforeEachChange, everyFault, faults } from '../support/faults.js';
import {
  bytesIn,
  defaults,
  HandClock,
  lay,
  look,
  npz,
  scratch,
  told,
  trainerFolder,
  value,
} from './samples.js';

interface Opened {
  readonly store: CheckpointStore;
  readonly notices: string[];
  readonly released: string[];
}

async function tryOpen(patterns: readonly string[], startedAt = Date.now()): Promise<Result<Opened>> {
  const [clock, notices, released]: [HandClock, string[], string[]] = [new HandClock(), [], []];
  const opened = await openCheckpointFolders(
    patterns,
    async (dir, appeared) => {
      const store = await openCheckpointStore({
        ...defaults(dir, clock, notices),
        appeared,
        runStartedAt: startedAt,
      });
      if (!store.ok) return store;
      const release = (): Promise<void> => Promise.resolve(void released.push(path.basename(dir)));
      return ok({ store: store.value, release });
    },
    clock,
    (text) => notices.push(text),
  );
  return opened.ok ? ok({ store: opened.value.store, notices, released }) : opened;
}

async function open(t: TestContext, patterns: readonly string[], startedAt?: number): Promise<Opened> {
  const opened = value(await tryOpen(patterns, startedAt));
  t.after(() => opened.store.close());
  return opened;
}

const fact = (id: string, more: Partial<CheckpointFact> = {}): CheckpointFact => ({
  id,
  path: `/${id}`,
  modifiedAt: 1000,
  sizeBytes: 10,
  standing: 'verified',
  why: 'read',
  ours: true,
  ...more,
});

const line = (name: string, facts: readonly CheckpointFact[], had = facts.length > 0, folder = name.charCodeAt(0)): Line => ({
  name,
  had,
  parts: facts.map((one) => ({ folder, name: `${name}/${one.id}`, fact: one })),
}); // prettier-ignore

/** `id:standing`, oldest first. */
const joined = (...lines: Line[]): string[] => told(joinLines(lines).map((joint) => joint.fact));

describe('joining by step', () => {
  const numbered = (...numbers: number[]): CheckpointFact[] => numbers.map((number) => fact(`checkpoint-${number}`, { number, step: number, modifiedAt: number })); // prettier-ignore

  test('the newest that every folder has is usable; what only some have is partial', () => {
    assert.deepEqual(joined(line('a', numbered(10, 20, 30)), line('b', numbered(10, 20))), [
      'a/checkpoint-10:verified',
      'a/checkpoint-20:verified',
      'a/checkpoint-30:partial',
    ]);
    const [torn] = joinLines([line('a', []), line('b', numbered(7)), line('c', [], true)]);
    assert.deepEqual([torn?.fact.id, torn?.fact.standing, torn?.fact.why], ['b/checkpoint-7', 'partial', 'c has nothing of step 7']); // prettier-ignore
  });

  test('a folder that never had one holds nothing back', () => {
    assert.deepEqual(joined(line('a', numbered(10, 20)), line('b', [])), ['a/checkpoint-10:verified', 'a/checkpoint-20:verified']); // prettier-ignore
  });

  test('it is worth what the worst of its parts is, and says which', () => {
    const [joint] = joinLines([
      line('a', [fact('x-1', { number: 1, standing: 'safe', sizeBytes: 5 })]),
      line('b', [fact('x-1', { number: 1, standing: 'corrupt', why: 'torn', ours: false, pinned: true })]),
    ]);
    assert.deepEqual(joint?.fact, fact('a/x-1', { path: '/x-1', number: 1, standing: 'corrupt', why: 'b/x-1: torn', sizeBytes: 15, ours: false, pinned: true })); // prettier-ignore
  });

  test('by number where names are of one kind, else by step; of unknown step nothing is joined', () => {
    const joins = (a: CheckpointFact, b: CheckpointFact): boolean =>
      joinLines([line('a', [a]), line('b', [b])]).length === 1;
    assert.ok(
      joins(fact('epoch-3.pt', { number: 3, step: 1200 }), fact('epoch-3.pt', { number: 3, step: 1201 })),
    );
    assert.ok(
      joins(fact('epoch-3.pt', { number: 3, step: 1200 }), fact('checkpoint-1200', { number: 1200 })),
    );
    assert.ok(joins(fact('gen.pt', { step: 40 }), fact('disc.pt', { step: 40 })));
    assert.ok(joins(fact('g-40.pt', { number: 40 }), fact('d_40.pt', { number: 40 })));
    assert.ok(
      !joins(fact('epoch-3.pt', { number: 3, step: 1200 }), fact('step_3.pt', { number: 3, step: 3 })),
    );
    assert.ok(!joins(fact('gen.pt', { step: 40 }), fact('disc.pt', { step: 30 })));
    assert.ok(!joins(fact('gen.pt'), fact('disc.pt')));
    const [, unknown] = joinLines([line('a', [fact('last.pt', { modifiedAt: 5 })]), line('b', numbered(1))]);
    assert.match(unknown?.fact.why ?? '', /a|b has nothing of/);
  });

  test('no folder’s own order is turned round; one that rotated older ones away changes nothing', () => {
    assert.deepEqual(joined(line('a', numbered(30, 40)), line('b', numbered(10, 20, 30, 40))).slice(2), ['a/checkpoint-30:verified', 'a/checkpoint-40:verified']); // prettier-ignore
    const a = [fact('epoch-1', { number: 1 }), fact('best.pt', { step: 55 }), fact('epoch-2', { number: 2 })];
    assert.deepEqual(joined(line('a', a)), [
      'a/epoch-1:verified',
      'a/best.pt:verified',
      'a/epoch-2:verified',
    ]);
  });

  test('a part that only the vault keeps makes the whole one to be put back', () => {
    const [joint] = joinLines([line('a', numbered(30)), line('b', [fact('checkpoint-30@30', { number: 30, step: 30, spare: true })])]); // prettier-ignore
    assert.equal(joint?.fact.spare, true);
    assert.equal(joint.parts.length, 2);
  });
});

describe('globs', () => {
  test('of one segment', () => {
    const matches = (glob: string, ...names: string[]): string[] =>
      names.filter((name) => regExpOf(glob).test(name));
    assert.deepEqual(matches('version_*', 'version_0', 'version_10', 'xversion_0', '.version_0'), ['version_0', 'version_10']); // prettier-ignore
    assert.deepEqual(matches('v?[0-9]', 'v_1', 'v_x', 'v1'), ['v_1']);
    assert.deepEqual(matches('v[!0-9]', 'v1', 'vx'), ['vx']);
    assert.deepEqual(matches('.*', 'a', '.a'), ['.a']);
    assert.deepEqual(matches('a.b+(c)*', 'a.b+(c)d', 'axb+(c)'), ['a.b+(c)d']);
    assert.deepEqual(matches('v[z-a]', 'v[z-a]', 'vz'), ['v[z-a]']);
    assert.deepEqual(matches('*', 'line\nbreak', '☃'), ['line\nbreak', '☃']);
    assert.ok(!isGlob('/plain/path-1.2'));
  });

  test('folders only, by their numbers; what is not there matches nothing', async (t) => {
    const root = scratch(t);
    for (const name of ['version_10', 'version_2', 'version_x']) mkdirSync(path.join(root, name, 'checkpoints'), { recursive: true }); // prettier-ignore
    writeFileSync(path.join(root, 'version_3'), 'a file');
    mkdirSync(path.join(root, 'version_4'));
    const found = await matching(path.join(root, 'version_[0-9]*', 'checkpoints'));
    assert.deepEqual(found.map((one) => path.relative(root, one)), ['version_2/checkpoints', 'version_10/checkpoints']); // prettier-ignore
    assert.deepEqual(await matching(path.join(root, 'none', '*', 'x')), []);
  });
});

describe('several folders', () => {
  const layBoth = (root: string, a: readonly number[], b: readonly number[]): [string, string] => {
    const dirs: [string, string] = [path.join(root, 'gen'), path.join(root, 'disc')];
    for (const dir of dirs) mkdirSync(dir, { recursive: true });
    for (const step of a) lay(dirs[0], trainerFolder(step));
    for (const step of b) lay(dirs[1], { [`disc-${step}.npz`]: npz(step) });
    return dirs;
  };

  test('that were cut off between two saves go back to the step that both have', async (t) => {
    const dirs = layBoth(scratch(t), [10, 20, 30], [10, 20]);
    const { store, notices, released } = await open(t, dirs);
    const checkpoints = await look(store);
    assert.deepEqual(told(checkpoints), ['gen/checkpoint-10:verified', 'gen/checkpoint-20:verified', 'gen/checkpoint-30:partial']); // prettier-ignore
    assert.equal(checkpoints[1]?.path, path.join(dirs[0], 'checkpoint-20'));
    const choice = chooseRollback({ checkpoints, guessed: false, rollbackEnabled: true, allowScratch: false, everVerified: true, mayBeginAnew: false }); // prettier-ignore
    assert.ok(choice.type === 'roll-back');
    assert.equal(choice.reason, 'gen/checkpoint-30 is partial: disc has nothing of step 30');
    const done = value(await store.rollback({ target: choice.target?.id ?? '', moves: choice.moves, reason: choice.reason })); // prettier-ignore
    assert.deepEqual(done.moved.map(({ id }) => id), ['gen/checkpoint-30']); // prettier-ignore
    assert.deepEqual(readdirSync(dirs[0]).sort(), ['checkpoint-10', 'checkpoint-20']);
    assert.deepEqual(readdirSync(dirs[1]).sort(), ['disc-10.npz', 'disc-20.npz']);
    assert.deepEqual(told(await look(store)), ['gen/checkpoint-10:verified', 'gen/checkpoint-20:verified']);
    assert.deepEqual(notices, []);
    assert.deepEqual([store.dir, store.dirs], [dirs[0], dirs]);
    await store.close();
    assert.deepEqual(released.sort(), ['disc', 'gen']);
  });

  test('all go back: a damaged part takes its fellows along', async (t) => {
    const dirs = layBoth(scratch(t), [10, 20, 30], [10, 20, 30]);
    truncateSync(path.join(dirs[1], 'disc-30.npz'), 700);
    const { store } = await open(t, dirs);
    const checkpoints = await look(store);
    assert.match(checkpoints[2]?.why ?? '', /^disc\/disc-30\.npz: /);
    value(
      await store.rollback({ target: 'gen/checkpoint-20', moves: ['gen/checkpoint-30'], reason: 'corrupt' }),
    );
    assert.deepEqual([...readdirSync(dirs[0]), ...readdirSync(dirs[1])].sort(), ['checkpoint-10', 'checkpoint-20', 'disc-10.npz', 'disc-20.npz']); // prettier-ignore
  });

  test('marks and proofs reach every part', async (t) => {
    const dirs = layBoth(scratch(t), [10], [10]);
    const { store } = await open(t, dirs);
    await look(store);
    value(await store.mark('gen/checkpoint-10', 'suspect', 'failed soon after'));
    assert.deepEqual(told(await look(store)), ['gen/checkpoint-10:suspect']);
    const alone = await open(t, [dirs[1]]);
    assert.deepEqual(told(await look(alone.store)), ['disc-10.npz:suspect']);
    const unknown = await store.mark('gen/checkpoint-11', 'suspect', 'x');
    assert.ok(!unknown.ok && unknown.error.message.includes('"gen/checkpoint-11"'));
  });

  test('one that had checkpoints and is empty now holds the others back, also in the next process', async (t) => {
    const dirs = layBoth(scratch(t), [10], [10]);
    await look((await open(t, dirs)).store);
    rmSync(path.join(dirs[1], 'disc-10.npz'));
    const { store } = await open(t, dirs);
    assert.deepEqual(told(await look(store)), ['gen/checkpoint-10:partial']);
  });

  test('the same one twice, or one inside the other, is refused in words, and all are given back', async (t) => {
    const dirs = layBoth(scratch(t), [10], []);
    const inside = path.join(dirs[0], 'checkpoint-10');
    const nested = await tryOpen([...dirs, inside]);
    assert.ok(!nested.ok && nested.error.exit === 78);
    assert.match(nested.error.message, /lie one inside the other; name each/);
    const link = path.join(path.dirname(dirs[0]), 'link');
    symlinkSync('gen', link);
    const same = await tryOpen([dirs[0], link]);
    assert.ok(!same.ok && /are the same folder/.test(same.error.message));
  });

  test('something open for writing in the second: neither is touched', { skip: process.platform !== 'linux' }, async (t) => {
    const dirs = layBoth(scratch(t), [10, 20], [10, 20]);
    const { store } = await open(t, dirs);
    await look(store);
    const writer = await files.open(path.join(dirs[1], 'disc-20.npz'), 'r+');
    const busy = await store.rollback({ target: 'gen/checkpoint-10', moves: ['gen/checkpoint-20'], reason: 'x' });
    await writer.close();
    assert.ok(!busy.ok && busy.error.exit === 75);
    assert.equal(readdirSync(dirs[0]).length, 2);
    assert.deepEqual(value(await store.recover()), []);
  }); // prettier-ignore

  test('undone, all are as before', async (t) => {
    const dirs = layBoth(scratch(t), [10, 20], [10, 20]);
    const before = dirs.map((dir) => bytesIn(dir));
    const { store } = await open(t, dirs);
    await look(store);
    const { tx } = value(
      await store.rollback({ target: 'gen/checkpoint-10', moves: ['gen/checkpoint-20'], reason: 'x' }),
    );
    value(await store.undo(tx));
    assert.deepEqual(dirs.map((dir) => bytesIn(dir)), before); // prettier-ignore
    const again = await store.undo();
    assert.ok(!again.ok && /no rollback of these folders to undo/.test(again.error.message));
  });
});

describe('an undo of several folders', () => {
  const lay20 = (root: string): [string, string] => {
    const dirs: [string, string] = [path.join(root, 'gen'), path.join(root, 'disc')];
    for (const step of [10, 20]) lay(dirs[0], { [`gen-${step}.npz`]: npz(step) });
    for (const step of [10, 20]) lay(dirs[1], { [`disc-${step}.npz`]: npz(step) });
    return dirs;
  };
  const back = { target: 'gen/gen-10.npz', moves: ['gen/gen-20.npz'], reason: 'x' };

  test('is refused before any is touched where one of them refuses', async (t) => {
    const dirs = lay20(scratch(t));
    const { store } = await open(t, dirs);
    await look(store);
    value(await store.rollback(back));
    lay(dirs[1], { 'disc-20.npz': npz(99) });
    const refused = await store.undo();
    assert.ok(!refused.ok && /disc-20\.npz was written in .*disc since/.test(refused.error.message));
    assert.deepEqual(readdirSync(dirs[0]), ['gen-10.npz']);
    assert.deepEqual(value(await store.recover()), [], 'nothing was begun that could not be ended');
  });

  test('passes over one that had nothing to move', async (t) => {
    const dirs = lay20(scratch(t));
    rmSync(path.join(dirs[1], 'disc-20.npz'));
    const { store } = await open(t, dirs);
    await look(store);
    value(await store.rollback(back));
    value(await store.undo());
    assert.deepEqual(readdirSync(dirs[0]), ['gen-10.npz', 'gen-20.npz']);
    assert.deepEqual(value(await store.recover()), []);
  });
});

describe('a rollback of several folders', () => {
  interface Stage {
    readonly dirs: readonly [string, string];
    readonly reopen: () => Promise<CheckpointStore>;
  }

  function stage(base: string): Stage {
    const parent = mkdtempSync(path.join(base, 'run-'));
    const dirs = [path.join(parent, 'gen'), path.join(parent, 'disc')] as const;
    for (const step of [10, 20]) {
      lay(dirs[0], { [`gen-${step}.npz`]: npz(step, 200) });
      lay(dirs[1], { [`disc-${step}.npz`]: npz(step + 1, 200) });
    }
    return { dirs, reopen: async () => value(await tryOpen(dirs)).store };
  }

  const vaultOf = (dir: string): string => path.join(path.dirname(dir), `.${path.basename(dir)}.trainguard`);

  /** Every checkpoint file, wherever it lies. */
  const contentOf = ({ dirs }: Stage): string[] =>
    dirs
      .flatMap((dir) => {
        const quarantine = path.join(vaultOf(dir), 'quarantine');
        return [
          ...bytesIn(dir),
          ...readdirSync(quarantine).flatMap((tx) => [...bytesIn(path.join(quarantine, tx))]),
        ];
      })
      .map(([name, bytes]) => `${name} ${bytes.toString('base64')}`)
      .sort();

  /** Without verifying anything: what a rollback moves was seen. */
  const glance = (store: CheckpointStore): Promise<unknown> => look(store, { budgetMs: 0 });
  /** A stage costs two vaults: a sample here; one folder's own transaction fails in all ways at all changes elsewhere. */
  const stride = 3 * faults.length;

  const leftIn = ({ dirs }: Stage): string[] => dirs.flatMap((dir) => readdirSync(dir)).sort();
  const wanted = { target: 'gen/gen-10.npz', moves: ['gen/gen-20.npz'], reason: 'x' };
  const whole = ['disc-10.npz', 'disc-20.npz', 'gen-10.npz', 'gen-20.npz'];

  test('each change to the disk failing in each way: all as before, or all back, and no byte lost', async (t) => {
    const base = scratch(t);
    const seen = new Set<string>();
    const cases = await everyFault(
      async () => {
        const one = stage(base);
        const store = await one.reopen();
        await glance(store);
        return { ...one, store, content: contentOf(one) };
      },
      ({ store }) => store.rollback(wanted),
      async ({ stage: one, value: done, error, crashed }) => {
        assert.equal(error, undefined, 'a Problem is answered, not thrown');
        if (done && !done.ok) assert.match(done.error.message, /^[^\n]+$/);
        const store = crashed ? await one.reopen() : one.store;
        value(await store.recover());
        assert.deepEqual(value(await store.recover()), []);
        const left = leftIn(one);
        if (done?.ok) assert.equal(left.length, 2);
        assert.deepEqual(left, left.length === 2 ? ['disc-10.npz', 'gen-10.npz'] : whole);
        seen.add(`${left.length}`);
        assert.deepEqual(contentOf(one), one.content);
        await glance(store);
        if (left.length === 4) value(await store.rollback(wanted));
        assert.deepEqual(leftIn(one), ['disc-10.npz', 'gen-10.npz']);
        const groups = readdirSync(path.join(vaultOf(one.dirs[0]), 'groups'));
        assert.deepEqual(groups.filter((name) => !name.endsWith('.done')), [], 'nothing half-written'); // prettier-ignore
        await store.close();
        if (crashed) await one.store.close();
      },
      // close enough to meet the commit, after each folder was asked
      15,
    );
    assert.ok(cases >= 8, `only ${cases}`);
    assert.equal(seen.size, 2, 'some as before, some rolled back');
  });

  test('cut off before each change to the disk: all as before, from the commit on all back', async (t) => {
    const base = scratch(t);
    let changes = 0;
    let last = Infinity;
    beforeEachChange(() => {
      if (++changes > last) throw new Error('cut off');
    });
    const outcomes: string[] = [];
    for (let allowed = 0; ; allowed++) {
      const one = stage(base);
      const store = await one.reopen();
      await glance(store);
      [changes, last] = [0, allowed];
      const ended = await store.rollback(wanted).then(
        () => true,
        () => false,
      );
      last = Infinity;
      if (ended) break;
      const next = await one.reopen();
      value(await next.recover());
      outcomes.push(leftIn(one).length === 4 ? 'as before' : 'rolled back');
      assert.deepEqual(leftIn(one), outcomes.at(-1) === 'as before' ? whole : ['disc-10.npz', 'gen-10.npz']);
    }
    // first as before, then, from the commit on, rolled back
    assert.deepEqual([...outcomes].sort(), outcomes);
    assert.ok(outcomes.filter((one) => one === 'rolled back').length > 20, outcomes.join());
  });

  test('an undo, each change failing in each way: all as rolled back, or all as before', async (t) => {
    const base = scratch(t);
    const cases = await everyFault(
      async () => {
        const one = stage(base);
        const store = await one.reopen();
        await glance(store);
        value(await store.rollback(wanted));
        return { ...one, store, content: contentOf(one) };
      },
      ({ store }) => store.undo(),
      async ({ stage: one, value: done, error, crashed }) => {
        assert.equal(error, undefined, 'a Problem is answered, not thrown');
        const store = crashed ? await one.reopen() : one.store;
        value(await store.recover());
        assert.deepEqual(value(await store.recover()), []);
        const left = leftIn(one);
        if (done?.ok) assert.equal(left.length, 4);
        assert.deepEqual(left, left.length === 2 ? ['disc-10.npz', 'gen-10.npz'] : whole);
        assert.deepEqual(contentOf(one), one.content);
        if (left.length === 2) value(await store.undo());
        assert.deepEqual(leftIn(one), whole);
        await store.close();
        if (crashed) await one.store.close();
      },
      stride,
    );
    assert.ok(cases >= 8, `only ${cases}`);
  });

  test('cut off between the folders, what was written since under the same name is left', async (t) => {
    const one = stage(scratch(t));
    const store = await one.reopen();
    await glance(store);
    const real = files.rename;
    t.mock.method(files, 'rename', (from: string, to: string) =>
      to.startsWith(path.join(vaultOf(one.dirs[1]), 'journal'))
        ? Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }))
        : real(from, to),
    );
    const cut = await store.rollback(wanted);
    assert.equal(cut.ok, false);
    assert.deepEqual(leftIn(one), ['disc-10.npz', 'disc-20.npz', 'gen-10.npz']);
    t.mock.restoreAll();
    // kept elsewhere, so that its inode is not used again
    renameSync(path.join(one.dirs[1], 'disc-20.npz'), path.join(one.dirs[1], '..', 'kept'));
    lay(one.dirs[1], { 'disc-20.npz': npz(99) }, 0);
    const next = await one.reopen();
    assert.match(value(await next.recover()).join('\n'), /cut off between folders and was finished in all/);
    assert.deepEqual(leftIn(one), ['disc-10.npz', 'disc-20.npz', 'gen-10.npz']);
    await store.close();
    await next.close();
  });

  test('without the folder that it takes in it is not forgotten: it says which to name', async (t) => {
    const one = stage(scratch(t));
    const store = await one.reopen();
    await glance(store);
    const groups = path.join(vaultOf(one.dirs[0]), 'groups');
    value(await store.rollback(wanted));
    const [done = ''] = readdirSync(groups);
    renameSync(path.join(groups, done), path.join(groups, done.replace('.done', '')));
    await store.close();
    const other = path.join(path.dirname(one.dirs[0]), 'other');
    const { store: less } = await open(t, [one.dirs[0], other]);
    const refused = await less.recover();
    assert.ok(
      !refused.ok && refused.error.message.includes(`takes ${one.dirs[1]} in as well; name that folder too`),
    );
  });
});

describe('what a glob matches', () => {
  const version = (root: string, number: number): string =>
    path.join(root, 'logs', `version_${number}`, 'checkpoints');
  const globIn = (root: string): string => path.join(root, 'logs', 'version_*', 'checkpoints');

  test('may come later: it is said, waited for, and taken in; what lies in it is of this run', async (t) => {
    const root = scratch(t);
    const { store, notices } = await open(t, [globIn(root)], Date.now() - 1000);
    assert.match(notices.join(), /no folder matches .*version_\*\/checkpoints yet: it is taken in/);
    assert.equal(store.dir, path.join(root, 'logs'));
    assert.deepEqual(await look(store), []);
    let changes = 0;
    const end = store.watch(() => changes++);
    lay(version(root, 0), { 'step-10.npz': npz(1) }, 0);
    await eventually(() => changes > 0, 'the folder was noticed');
    const checkpoints = await look(store);
    assert.deepEqual(told(checkpoints), ['version_0/checkpoints/step-10.npz:verified']);
    assert.equal(checkpoints[0]?.ours, true);
    assert.equal(store.dir, version(root, 0));
    changes = 0;
    await eventually(() => {
      lay(version(root, 0), { 'step-20.npz': npz(2) }, 0);
      return changes > 0;
    }, 'it is watched');
    end();
  });

  test('follows one another: an empty new folder holds nothing back, and one step is gone back to over all', async (t) => {
    const root = scratch(t);
    lay(version(root, 0), { 'step-10.npz': npz(1), 'step-20.npz': npz(2) });
    const { store } = await open(t, [globIn(root)]);
    assert.deepEqual(told(await look(store)), ['version_0/checkpoints/step-10.npz:verified', 'version_0/checkpoints/step-20.npz:verified']); // prettier-ignore
    mkdirSync(version(root, 1), { recursive: true });
    assert.equal((await look(store)).at(-1)?.id, 'version_0/checkpoints/step-20.npz');
    lay(version(root, 1), { 'step-30.npz': npz(3).subarray(0, 700) }, 0);
    assert.deepEqual(told(await look(store)).slice(1), ['version_0/checkpoints/step-20.npz:verified', 'version_1/checkpoints/step-30.npz:corrupt']); // prettier-ignore
    const done = value(await store.rollback({ target: 'version_0/checkpoints/step-10.npz', moves: ['version_1/checkpoints/step-30.npz', 'version_0/checkpoints/step-20.npz'], reason: 'numeric' })); // prettier-ignore
    assert.equal(done.moved.length, 2);
    assert.deepEqual(readdirSync(version(root, 1)), []);
    assert.deepEqual(readdirSync(version(root, 0)), ['step-10.npz']);
  });

  test('is one folder though two names lead to it; one that cannot be had is left, and said once', async (t) => {
    const root = scratch(t);
    lay(version(root, 3), { 'step-10.npz': npz(1) });
    symlinkSync('version_3', path.join(root, 'logs', 'version_latest'));
    const { store, notices } = await open(t, [globIn(root)]);
    assert.equal((await look(store)).length, 1);
    const other = path.join(root, 'other');
    const both = await open(t, [other, path.join(root, '*')]);
    await look(both.store);
    mkdirSync(path.join(root, 'late'));
    symlinkSync('other', path.join(root, 'zlink'));
    await look(both.store);
    await look(both.store);
    assert.equal(
      both.notices.filter((text) => /zlink are the same folder.*go on without it/.test(text)).length,
      1,
    );
    assert.deepEqual(notices, []);
  });

  test('and is written at the same time is told to be named one by one', async (t) => {
    const root = scratch(t);
    const { store, notices } = await open(t, [path.join(root, 'rank_*')], Date.now() - 10_000);
    for (const [at, step] of [10, 20].entries())
      for (const rank of [0, 1]) lay(path.join(root, `rank_${rank}`), { [`step-${step}.npz`]: npz(step) }, 5000 - 2000 * at - rank); // prettier-ignore
    await look(store);
    await look(store);
    const said = notices.filter((text) => /written at the same time/.test(text));
    assert.equal(said.length, 1);
    assert.match(
      said[0] ?? '',
      /rank_0\/step-20\.npz and rank_1\/step-10\.npz .*each with its own --checkpoint-dir/,
    );
  });
});
