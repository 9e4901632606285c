import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'; // prettier-ignore
import fs from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { type AsideWish, WithAside } from '../../src/checkpoints/include/store.js';
import { keptIn, surplus, type HeldKept } from '../../src/checkpoints/include/kept.js';
import { vetAside } from '../../src/checkpoints/include/vet.js';
import type { CheckpointFact } from '../../src/policy/checkpoint.js';
import type { CheckpointStore } from '../../src/supervisor/ports.js';
import { files } from '../../src/util/os/durable.js';
import { everyFault, faults } from '../support/faults.js';
import { pythonPath } from '../support/python.js';
import { bytesIn, lay, look, npz, open, python, scratch, value } from './samples.js';

interface Stage {
  readonly root: string;
  readonly dir: string;
  readonly store: CheckpointStore;
  readonly notices: string[];
  readonly at: (...names: string[]) => string;
}

async function stage(t: TestContext, wish: Partial<Pick<AsideWish, 'include' | 'clean' | 'interpreters'>>, base = scratch(t)): Promise<Stage> {
  const root = path.join(base, `run-${readdirSync(base).length}`);
  const dir = path.join(root, 'ckpts');
  mkdirSync(dir, { recursive: true });
  // older than nothing: what is written from here on is the run's
  const { store, notices, clock } = await open(t, dir);
  const at = (...names: string[]): string => path.join(root, ...names);
  const absolute = (names: readonly string[] = []): string[] => names.map((name) => path.join(root, name));
  const aside = new WithAside(store, {
    include: absolute(wish.include),
    clean: absolute(wish.clean),
    interpreters: wish.interpreters ?? [pythonPath()],
    stateDir: at('.trainguard'),
    cwd: root,
    clock,
    notice: (text) => notices.push(text),
  });
  return { root, dir, store: aside, notices, at };
} // prettier-ignore

/** Saves a checkpoint, sees it, and has kept with it what is to be. */
async function save({ dir, store }: Stage, step: number, live = false): Promise<void> {
  lay(dir, { [`step-${step}.npz`]: npz(step, 300) }, 1_000_000 - step * 1000);
  await look(store);
  await store.keep({ live });
}

const back = (
  store: CheckpointStore,
  to: number,
  ...moves: number[]
): ReturnType<CheckpointStore['rollback']> =>
  store.rollback({ target: `step-${to}.npz`, moves: moves.map((step) => `step-${step}.npz`), reason: 'x' });

const fill = (file: string, rows: number): string =>
  python(
    `import sqlite3,sys
c = sqlite3.connect(sys.argv[1]); c.execute('pragma journal_mode=wal'); c.execute('create table if not exists t(n)')
c.executemany('insert into t values (?)', [(i,) for i in range(int(sys.argv[2]))]); c.commit(); c.close()`,
    file,
    String(rows),
  );
const rowsIn = (file: string): number =>
  Number(python('import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute("select count(*) from t").fetchone()[0])', file)); // prettier-ignore

/** A process that keeps a database open, has `rows` in it and nothing checkpointed, until it is killed. */
async function writerOf(t: TestContext, file: string, rows: number): Promise<{ kill(): Promise<void> }> {
  const code = `
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute('pragma journal_mode=wal'); c.execute('pragma wal_autocheckpoint=0')
c.execute('create table if not exists t(n)')
for i in range(int(sys.argv[2])): c.execute('insert into t values (?)', (i,))
print('ready', flush=True)
time.sleep(600)`;
  const child = spawn(pythonPath(), ['-c', code, file, String(rows)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { kill };
}

describe('checkpoints.include', () => {
  test('a file and a folder go back to how they were with the checkpoint; what is there now is in quarantine', async (t) => {
    const one = await stage(t, { include: ['loader.json', 'state'] });
    const { at, store, notices } = one;
    lay(one.root, { 'loader.json': '{"at": 10}', 'state/a.txt': 'a of 10', 'state/deep/b.txt': 'b of 10' });
    const mtime = statSync(at('loader.json')).mtimeMs;
    await save(one, 10);
    writeFileSync(at('loader.json'), '{"at": 20}');
    writeFileSync(at('state', 'a.txt'), 'a of 20');
    writeFileSync(at('state', 'new.txt'), 'only of 20');
    rmSync(at('state', 'deep'), { recursive: true });
    await save(one, 20);
    const done = value(await back(store, 10, 20));
    assert.equal(readFileSync(at('loader.json'), 'utf8'), '{"at": 10}');
    assert.ok(Math.abs(statSync(at('loader.json')).mtimeMs - mtime) < 1, 'its time is as it was');
    assert.deepEqual([...bytesIn(at('state'))].map(([name, bytes]) => `${name}: ${bytes.toString()}`).sort(), ['a.txt: a of 10', 'deep/b.txt: b of 10']); // prettier-ignore
    const quarantined = [...bytesIn(path.join(store.vault ?? '', 'quarantine', done.tx)).values()].map(
      String,
    );
    for (const text of ['{"at": 20}', 'a of 20', 'only of 20']) assert.ok(quarantined.includes(text), text);
    assert.match(done.others.join('\n'), /loader\.json is put back as it was then/);
    value(await store.undo(done.tx));
    assert.equal(readFileSync(at('loader.json'), 'utf8'), '{"at": 20}');
    assert.equal(readFileSync(at('state', 'new.txt'), 'utf8'), 'only of 20');
    assert.deepEqual(notices, []);
  });

  test('what cannot be looked at is a Problem, and nothing was moved', async (t) => {
    const one = await stage(t, { include: ['state'] });
    lay(one.root, { 'state/a': 'a' });
    await save(one, 10);
    await save(one, 20);
    const real = fs.readdir;
    t.mock.method(fs, 'readdir', ((...args: Parameters<typeof real>) =>
      args[0] === one.at('state')
        ? Promise.reject(Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' }))
        : real(...args)) as typeof real);
    const refused = await back(one.store, 10, 20);
    assert.ok(!refused.ok && /cannot be looked at: EACCES/.test(refused.error.message));
    assert.equal(readdirSync(one.dir).length, 2);
  });

  test('of a checkpoint that nothing was kept with it is left, and that is said', async (t) => {
    const base = scratch(t);
    const one = await stage(t, { include: ['loader.json'] }, base);
    lay(one.dir, { 'step-5.npz': npz(5) });
    lay(one.root, { 'loader.json': 'now' });
    await save(one, 10);
    value(await back(one.store, 5, 10));
    assert.equal(readFileSync(one.at('loader.json'), 'utf8'), 'now');
    assert.match(
      one.notices.join(),
      /nothing that checkpoints\.include names was kept with step-5\.npz: it is left as it is/,
    );
  });

  test('one that was not there then goes away; a damaged copy is not put back', async (t) => {
    const one = await stage(t, { include: ['late.json', 'loader.json'] });
    writeFileSync(one.at('loader.json'), 'ten');
    await save(one, 10);
    writeFileSync(one.at('late.json'), 'later');
    writeFileSync(one.at('loader.json'), 'twenty');
    await save(one, 20);
    const [held] = await keptIn(one.store.vault ?? '');
    appendFileSync(path.join(held?.folder ?? '', '0'), '!');
    const done = value(await back(one.store, 10, 20));
    assert.ok(!existsSync(one.at('late.json')));
    assert.equal(readFileSync(one.at('loader.json'), 'utf8'), 'twenty');
    assert.match(one.notices.join(), /loader\.json is left as it is: its copy in the vault is damaged/);
    assert.ok(bytesIn(path.join(one.store.vault ?? '', 'quarantine', done.tx)).size > 1);
  });

  test('one that changes while it is copied is not kept, and said once; what is unchanged is not copied again', async (t) => {
    const one = await stage(t, { include: ['big.bin', 'busy.log'] });
    lay(one.root, { 'big.bin': 'x'.repeat(10_000), 'busy.log': 'a' });
    const real = files.open;
    const opening = t.mock.method(files, 'open', (async (...args: Parameters<typeof real>) => {
      if (String(args[0]).endsWith('busy.log')) appendFileSync(one.at('busy.log'), 'b');
      return real(...args);
    }) as typeof real);
    await save(one, 10);
    await one.store.keep({ live: true });
    opening.mock.restore();
    const said = one.notices.filter((text) =>
      /nothing is kept with step-10\.npz: .*busy\.log changed while/.test(text),
    );
    assert.equal(said.length, 1);
    assert.deepEqual(await keptIn(one.store.vault ?? ''), []);
    assert.deepEqual(readdirSync(path.join(one.store.vault ?? '', 'includes')), [], 'nothing half-made');
    await one.store.keep({ live: true });
    await save(one, 20);
    const [first, second] = await keptIn(one.store.vault ?? '');
    const inodeOf = (held: HeldKept | undefined): number => statSync(path.join(held?.folder ?? '', '0')).ino;
    assert.equal(inodeOf(first), inodeOf(second));
  });

  test('a living database is copied by Python’s backup, its log included', async (t) => {
    const one = await stage(t, { include: ['rows.db'] });
    const writer = await writerOf(t, one.at('rows.db'), 50);
    await save(one, 10, true);
    const [held] = await keptIn(one.store.vault ?? '');
    assert.equal(held?.kept.roots[0]?.kind, 'database');
    assert.equal(rowsIn(path.join(held.folder, '0')), 50);
    await writer.kill();
    assert.ok(existsSync(one.at('rows.db-wal')), 'the killed one left its log');
    fill(one.at('rows.db'), 7);
    await save(one, 20);
    value(await back(one.store, 10, 20));
    assert.ok(!existsSync(one.at('rows.db-wal')) && !existsSync(one.at('rows.db-shm')));
    assert.equal(rowsIn(one.at('rows.db')), 50);
  });

  test('a dead one is copied with its log, and comes back with it', async (t) => {
    const one = await stage(t, { include: ['rows.db'] });
    await (await writerOf(t, one.at('rows.db'), 30)).kill();
    const wal = readFileSync(one.at('rows.db-wal'));
    await save(one, 10);
    fill(one.at('rows.db'), 5);
    assert.equal(rowsIn(one.at('rows.db')), 35);
    await save(one, 20);
    value(await back(one.store, 10, 20));
    assert.deepEqual(readFileSync(one.at('rows.db-wal')), wal);
    assert.equal(rowsIn(one.at('rows.db')), 30);
  });

  test('without a Python that can, a living database is not kept, and why is said', async (t) => {
    const one = await stage(t, { include: ['rows.db'], interpreters: ['/no/such/python', '/bin/false'] });
    fill(one.at('rows.db'), 3);
    await save(one, 10, true);
    assert.match(one.notices.join(), /rows\.db could not be copied by Python's sqlite3: /);
    assert.deepEqual(await keptIn(one.store.vault ?? ''), []);
  });

  test('each change to the disk failing: kept whole or not at all, and a rollback is whole or not at all with it', async (t) => {
    const base = scratch(t);
    const cases = await everyFault(
      async () => {
        const one = await stage(t, { include: ['loader.json'], clean: ['*.tmp'] }, base);
        writeFileSync(one.at('loader.json'), 'ten');
        await save(one, 10);
        writeFileSync(one.at('loader.json'), 'twenty');
        lay(one.dir, { 'step-20.npz': npz(20, 300) }, 1000);
        writeFileSync(one.at('junk.tmp'), 'junk');
        await look(one.store);
        return one;
      },
      async ({ store }) => {
        await store.keep({ live: false });
        return back(store, 10, 20);
      },
      async ({ stage: one, value: done, error, crashed }) => {
        assert.equal(error, undefined, 'told, not thrown');
        if (crashed) {
          const next = await open(t, one.dir);
          value(await next.store.recover());
        } else value(await one.store.recover());
        const kept = await keptIn(one.store.vault ?? '');
        for (const { folder, kept: record } of kept) assert.equal(readFileSync(path.join(folder, '0'), 'utf8'), record.of === 'step-10.npz' ? 'ten' : 'twenty'); // prettier-ignore
        const left = readdirSync(one.dir).sort();
        const rolledBack = left.length === 1;
        if (done?.ok) assert.ok(rolledBack);
        assert.deepEqual(left, rolledBack ? ['step-10.npz'] : ['step-10.npz', 'step-20.npz']);
        const isLeft = one.notices.some((text) => /left as it is/.test(text));
        if (!isLeft) assert.equal(readFileSync(one.at('loader.json'), 'utf8'), rolledBack ? 'ten' : 'twenty');
        if (!isLeft) assert.equal(existsSync(one.at('junk.tmp')), !rolledBack);
      },
      2 * faults.length,
    );
    assert.ok(cases >= 8, `only ${cases}`);
  });

  test('is bounded in number; what is pinned stays', () => {
    const facts = Array.from({ length: 25 }, (_, at): CheckpointFact => ({ id: `c-${at}`, path: '', modifiedAt: at, sizeBytes: 1, standing: 'verified', why: '', ours: true, ...(at === 0 && { pinned: true }) })); // prettier-ignore
    const held = (of: string, modifiedAt: number): HeldKept => ({ folder: of, kept: { schemaVersion: 1, of, modifiedAt, sizeBytes: 1, takenAt: modifiedAt, roots: [], files: [] } }); // prettier-ignore
    const all = [...Array.from({ length: 7 }, (_, at) => held(`gone-${at}`, at)), ...facts.map(({ id, modifiedAt }) => held(id, modifiedAt))]; // prettier-ignore
    assert.deepEqual(surplus(all, facts).map(({ folder }) => folder), ['c-1', 'c-2', 'c-3', 'c-4', 'gone-0', 'gone-1']); // prettier-ignore
  });
});

describe('checkpoints.clean', () => {
  test('is cleared into quarantine, never what must stay', async (t) => {
    const one = await stage(t, { clean: ['cache', '*.tmp', '.trainguard*', 'ck*', 'none'] });
    lay(one.root, { 'cache/x/y': 'cached', 'a.tmp': 'a', '.trainguard/run.json': '{}' });
    await save(one, 10);
    await save(one, 20);
    const plan = value(await one.store.plan({ target: 'step-10.npz', moves: ['step-20.npz'], reason: 'x' }));
    assert.match(plan.others.join('\n'), /cache goes into quarantine/);
    assert.ok(existsSync(one.at('cache')), 'a look changes nothing');
    const done = value(await back(one.store, 10, 20));
    assert.deepEqual(readdirSync(one.root).sort(), ['.ckpts.trainguard', '.trainguard', 'ckpts']);
    assert.match(
      one.notices.join('\n'),
      /ckpts is matched by checkpoints\.clean, but .*ckpts lies there: it stays/,
    );
    const quarantined = [...bytesIn(path.join(one.store.vault ?? '', 'quarantine', done.tx)).values()].map(
      String,
    );
    assert.ok(quarantined.includes('cached') && quarantined.includes('a'));
  });

  test('a link that leads into the checkpoint folder clears nothing of it; what cannot be renamed is left, and said', async (t) => {
    const one = await stage(t, { clean: ['current/*.npz', 'cache'] });
    lay(one.root, { 'cache/x': 'x' });
    symlinkSync(one.dir, one.at('current'));
    await save(one, 10);
    await save(one, 20);
    const real = files.rename;
    t.mock.method(files, 'rename', (from: string, to: string) =>
      from === one.at('cache')
        ? Promise.reject(Object.assign(new Error('EBUSY: resource busy'), { code: 'EBUSY' }))
        : real(from, to),
    );
    value(await back(one.store, 10, 20));
    assert.deepEqual(readdirSync(one.dir), ['step-10.npz']);
    assert.match(one.notices.join('\n'), /cache is left as it is: .*cache is a mount point/);
    assert.match(one.notices.join('\n'), /step-10\.npz is matched by checkpoints\.clean, but .* lies there/);
    assert.deepEqual(value(await one.store.recover()), [], 'nothing that would fail at every start');
  });

  test('and include are refused where they are or hold what must stay', () => {
    const places = {
      checkpoints: ['/w/out/ckpts'],
      vaults: ['/w/out/.ckpts.trainguard'],
      stateDir: '/w/.trainguard',
      cwd: '/w',
    };
    const refusal = (named: Partial<Record<'include' | 'clean', string[]>>): string => {
      const vetted = vetAside({ include: [], clean: [], ...named }, places);
      return vetted.ok ? '' : vetted.error.message;
    };
    assert.match(refusal({ clean: ['/'] }), /the root of the file system/);
    assert.match(
      refusal({ clean: ['/w'] }),
      /checkpoints\.clean names \/w, which is or holds the checkpoint folder/,
    );
    assert.match(
      refusal({ include: ['/w/out'] }),
      /checkpoints\.include names \/w\/out, which is or holds the checkpoint folder/,
    );
    assert.match(refusal({ clean: ['/w/out/.ckpts.trainguard/quarantine'] }), /the vault .*, or lies in it/);
    assert.match(refusal({ clean: ['/w/.trainguard'] }), /the state folder/);
    assert.match(refusal({ include: ['/w/*.json'] }), /files and folders, not globs/);
    assert.equal(
      refusal({ include: ['/w/loader.json'], clean: ['/w/cache', '/w/*.tmp', '/w/out/ckpts/tmp'] }),
      '',
    );
  });
});

test('what lies on another file system than the vault is left as it is, and said', async (t) => {
  const one = await stage(t, { include: ['loader.json'], clean: ['cache'] });
  lay(one.root, { 'loader.json': 'ten', 'cache/x': 'x' });
  await save(one, 10);
  writeFileSync(one.at('loader.json'), 'twenty');
  utimesSync(one.at('loader.json'), 5, 5);
  await save(one, 20);
  const real = files.rename;
  t.mock.method(files, 'rename', (from: string, to: string) =>
    path.dirname(from) === one.root
      ? Promise.reject(Object.assign(new Error('EXDEV: cross-device link not permitted'), { code: 'EXDEV' }))
      : real(from, to),
  );
  value(await back(one.store, 10, 20));
  assert.deepEqual(readdirSync(one.dir), ['step-10.npz']);
  assert.equal(readFileSync(one.at('loader.json'), 'utf8'), 'twenty');
  assert.match(
    one.notices.join('\n'),
    /loader\.json is left as it is: it is on another file system than the vault/,
  );
  assert.match(one.notices.join('\n'), /cache is left as it is/);
});
