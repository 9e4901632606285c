import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, test } from 'node:test';
import { Journal, readJournal } from '../../src/runs/journal.js';
import { MetricsFile, readMetrics } from '../../src/runs/metrics.js';
import { requestStop, takeStopRequest } from '../../src/runs/requests.js';
import { createRun, listRuns, remakeRun } from '../../src/runs/run-dir.js';
import { readState, takeOverState } from '../../src/runs/state-file.js';
import { writeVersioned } from '../../src/runs/versioned-file.js';
import { ok, type Result } from '../../src/util/result.js';
import { type Case, everyFault } from '../support/faults.js';
import { tempDir } from '../support/temp-dir.js';

const valueOf = <T>(result: Result<T>): T => {
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  return result.value;
};

/** What did not end in a crash answered, and what it answered is one plain sentence. */
function answered<T>({
  crashed,
  error,
  value,
}: Pick<Case<unknown, Result<T>>, 'crashed' | 'error' | 'value'>): void {
  assert.equal(error, undefined, 'a Problem is answered, not thrown');
  if (crashed) return;
  assert.ok(value);
  if (value.ok) return;
  assert.match(value.error.message, /^cannot [^\n]+; [^\n]+$/);
  assert.match(value.error.code ?? '', /^(ENOSPC|EIO|EACCES|EXDEV|EROFS)$/);
}

/** Nothing half-written is left, unless it could not be removed. */
function clean({ crashed, fault }: Pick<Case<unknown, unknown>, 'crashed' | 'fault'>, dir: string): void {
  if (crashed || fault === 'disk read-only') return;
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.endsWith('.tmp')),
    [],
  );
}

/** Handles that nobody else closes, or node complains. */
const journals: Journal<string>[] = [];
afterEach(async () => {
  for (const journal of journals.splice(0)) await journal.close();
});

interface Stage {
  readonly dir: string;
  readonly file: string;
  readonly journal: Journal<string>;
}

/** A journal of three entries. */
async function journalStage(base: string): Promise<Stage> {
  const dir = await fs.mkdtemp(path.join(base, 'run-'));
  const file = path.join(dir, 'journal.jsonl');
  const { journal } = valueOf(await Journal.open<string>(file));
  journals.push(journal);
  valueOf(await journal.append(['a', 'b', 'c']));
  return { dir, file, journal };
}

/** The journal after a restart, and that it takes what comes next. */
async function reopened({ dir, file, journal }: Stage): Promise<{ entries: string[]; last: number }> {
  await journal.close();
  const again = valueOf(await Journal.open<string>(file));
  const { last } = again.journal;
  valueOf(await again.journal.append(['next']));
  await again.journal.close();
  const read = valueOf(await readJournal<string>(file));
  assert.deepEqual(read.entries, [...again.entries, 'next']);
  assert.equal(read.last, last + 1);
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.endsWith('.tmp')),
    [],
    'swept',
  );
  return { entries: again.entries, last };
}

test('appending to the journal, each change to the disk failing in each way', async (t) => {
  const base = tempDir(t);
  const cases = await everyFault(
    () => journalStage(base),
    ({ journal }) => journal.append(['d', 'e']),
    async (seen) => {
      const { stage, crashed, value } = seen;
      answered(seen);
      clean(seen, stage.dir);
      const left = valueOf(await readJournal<string>(stage.file)).entries.join('');
      assert.ok(['abc', 'abcd', 'abcde'].includes(left), left);
      if (value) assert.ok(value.ok ? left === 'abcde' : left !== 'abcd', left);
      if (crashed) {
        assert.equal((await reopened(stage)).entries.join(''), left);
        return;
      }
      valueOf(await stage.journal.append(['f']));
      assert.equal((await reopened(stage)).entries.join(''), value?.ok ? 'abcdef' : 'abcf');
    },
  );
  assert.ok(cases >= 12, `only ${cases}`);
});

test('opening a journal with a torn end, each change to the disk failing in each way', async (t) => {
  const base = tempDir(t);
  const cases = await everyFault(
    async () => {
      const stage = await journalStage(base);
      await stage.journal.close();
      await fs.appendFile(stage.file, '{"schemaVersion":1,"se');
      return stage;
    },
    async ({ file }) => {
      const opened = await Journal.open<string>(file);
      if (opened.ok) await opened.value.journal.close();
      return opened;
    },
    async (seen) => {
      answered(seen);
      clean(seen, seen.stage.dir);
      assert.equal((await reopened(seen.stage)).entries.join(''), 'abc');
      // what was torn off lies beside it, once or twice, never half
      const torn = readdirSync(seen.stage.dir).filter((name) => name.startsWith('journal.torn'));
      assert.ok(torn.length >= 1);
      for (const name of torn)
        assert.equal(await fs.readFile(path.join(seen.stage.dir, name), 'utf8'), '{"schemaVersion":1,"se');
    },
  );
  assert.ok(cases >= 40, `only ${cases}`);
});

for (const [what, known] of [
  ['compacting the journal', undefined],
  ['restoring a journal that lost its end', 9],
] as const) {
  test(`${what}, each change to the disk failing in each way`, async (t) => {
    const base = tempDir(t);
    const act = async ({ journal }: Stage): Promise<Result<unknown>> =>
      known === undefined ? journal.compact(['abc', 'd']) : journal.restore('abcd', known);
    const [was, is] = [
      { entries: 'abc', last: 3 },
      { entries: 'abcd', last: known === undefined ? 5 : 10 },
    ];
    const cases = await everyFault(
      () => journalStage(base),
      act,
      async (seen) => {
        const { stage, crashed, value } = seen;
        answered(seen);
        clean(seen, stage.dir);
        const { entries, last } = valueOf(await readJournal<string>(stage.file));
        const left = { entries: entries.join(''), last };
        assert.deepEqual(left, left.last === was.last ? was : is);
        if (value?.ok) assert.deepEqual(left, is);
        if (known !== undefined && left.last !== was.last) {
          const kept = valueOf(await readJournal<string>(`${stage.file}.damaged-1`));
          assert.equal(kept.entries.join(''), 'abc');
        }
        if (!crashed) {
          // also where it failed after the new file had got the name: what is appended goes to the file that bears it
          valueOf(await stage.journal.append(['f']));
          assert.equal(stage.journal.last, left.last + 1);
          left.entries += 'f';
          left.last++;
        }
        const again = await reopened(stage);
        assert.deepEqual({ entries: again.entries.join(''), last: again.last }, left);
      },
    );
    assert.ok(cases >= 30, `only ${cases}`);
  });
}

test('writing state.json, each change to the disk failing in each way', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'state.json');
  await everyFault(
    async () => valueOf(await writeVersioned(file, { n: 1 })),
    () => writeVersioned(file, { n: 2 }),
    async (seen) => {
      answered(seen);
      clean(seen, dir);
      const { n } = valueOf(await readState<{ n: number }>(file)) ?? {};
      assert.ok(seen.value?.ok ? n === 2 : n === 1 || n === 2, String(n));
      valueOf(await writeVersioned(file, { n: 3 }));
      assert.deepEqual(valueOf(await readState(file)), { n: 3 });
    },
  );
});

test('moving a damaged state.json aside, each change to the disk failing in each way', async (t) => {
  const base = tempDir(t);
  await everyFault(
    async () => {
      const dir = await fs.mkdtemp(path.join(base, 'run-'));
      await fs.writeFile(path.join(dir, 'state.json'), 'damage');
      return dir;
    },
    (dir) => takeOverState(path.join(dir, 'state.json')),
    async (seen) => {
      answered(seen);
      const file = path.join(seen.stage, 'state.json');
      assert.equal(valueOf(await takeOverState(file)).state, undefined);
      assert.deepEqual(readdirSync(seen.stage), ['state.json.damaged-1']);
      assert.equal(await fs.readFile(`${file}.damaged-1`, 'utf8'), 'damage');
    },
  );
});

test('making a run, each change to the disk failing in each way', async (t) => {
  const base = tempDir(t);
  const cases = await everyFault(
    () => fs.mkdtemp(path.join(base, 'state-')),
    (dir) => createRun(path.join(dir, '.trainguard'), 'r', 1000),
    async (seen) => {
      const { stage, crashed, fault, value } = seen;
      const stateDir = path.join(stage, '.trainguard');
      answered(seen);
      const listed = valueOf(await listRuns(stateDir));
      for (const { run } of listed) valueOf(run);
      // the run may be there although its folder could not be synced
      if (value?.ok) assert.equal(listed.length, 1);
      if (value && !value.ok && listed.length === 0 && fault !== 'disk read-only')
        assert.deepEqual(readdirSync(stage), []);
      const again = await createRun(stateDir, 'r', 1000);
      assert.equal(again.ok, listed.length === 0, again.ok ? '' : again.error.message);
      if (!crashed) return;
      // what a maker left that was killed goes, once it is certain that it was
      valueOf(await createRun(stateDir, 'other', Date.now() + 7_200_000));
      assert.deepEqual(readdirSync(path.join(stateDir, 'runs')).sort(), ['other', 'r']);
    },
  );
  assert.ok(cases >= 60, `only ${cases}`);
});

const unlocked = (): Promise<Result<void>> => Promise.resolve(ok(undefined));

test('making a deleted run’s folder again, each change to the disk failing in each way', async (t) => {
  const base = tempDir(t);
  await everyFault(
    async () => {
      const run = valueOf(await createRun(await fs.mkdtemp(path.join(base, 'state-')), 'r', 1000));
      rmSync(run.dir, { recursive: true });
      return run;
    },
    (run) => remakeRun(run, unlocked),
    async (seen) => {
      answered(seen);
      valueOf(await remakeRun(seen.stage, unlocked));
      const [listed] = valueOf(await listRuns(path.dirname(path.dirname(seen.stage.dir))));
      assert.deepEqual(listed && valueOf(listed.run), seen.stage);
    },
  );
});

test('putting a deleted journal back, each change to the disk failing in each way: the next try does it', async (t) => {
  const base = tempDir(t);
  await everyFault(
    async () => {
      const file = path.join(await fs.mkdtemp(path.join(base, 'run-')), 'journal.jsonl');
      const { journal } = valueOf(await Journal.open<number>(file));
      valueOf(await journal.append([1, 2]));
      rmSync(file);
      return { file, journal };
    },
    ({ journal }) => journal.append([3]),
    async (seen) => {
      answered(seen);
      const { file, journal } = seen.stage;
      if (!seen.crashed) {
        if (!seen.value?.ok) valueOf(await journal.append([3]));
        assert.deepEqual(valueOf(await readJournal<number>(file)).entries, [1, 2, 3]);
      }
      await journal.close();
    },
  );
});

test('a stop request is not lost, each change to the disk failing in each way', async (t) => {
  const base = tempDir(t);
  const request = { by: 'me', afterCheckpoint: true, at: 1000 };
  await everyFault(
    () => fs.mkdtemp(path.join(base, 'run-')),
    (dir) => requestStop(dir, request),
    async (seen) => {
      answered(seen);
      const taken = valueOf(await takeStopRequest(seen.stage, 2000));
      if (seen.value?.ok) assert.deepEqual(taken, request);
      else assert.ok(taken === undefined || taken.by === 'me');
    },
  );
  await everyFault(
    async () => {
      const dir = await fs.mkdtemp(path.join(base, 'run-'));
      valueOf(await requestStop(dir, request));
      return dir;
    },
    (dir) => takeStopRequest(dir, 2000),
    async (seen) => {
      answered(seen);
      // what was not answered can be taken the next time; whoever crashed had not answered
      if (seen.value?.ok) assert.deepEqual(seen.value.value, request);
      else if (!seen.crashed) assert.deepEqual(valueOf(await takeStopRequest(seen.stage, 2000)), request);
      assert.equal(
        existsSync(path.join(seen.stage, 'requests', 'stop')),
        seen.crashed && seen.hit === 'rename' && seen.fault === 'crash before',
      );
    },
  );
});

test('no heartbeat is lost or doubled, each change to the disk failing in each way', async (t) => {
  const base = tempDir(t);
  const beat = (at: number) => ({ at, attempt: 0, heartbeat: { step: at }, offsets: { out: at, err: 0 } });
  await everyFault(
    async () => {
      const file = path.join(await fs.mkdtemp(path.join(base, 'run-')), 'metrics.jsonl');
      const metrics = valueOf(await MetricsFile.open(file, 8));
      for (let at = 0; at < 6; at++) metrics.add(beat(at) as never);
      valueOf(await metrics.flush());
      for (let at = 6; at < 10; at++) metrics.add(beat(at) as never);
      return { file, metrics };
    },
    // beyond its bound, so it is thinned as well
    ({ metrics }) => metrics.flush(),
    async (seen) => {
      const { file, metrics } = seen.stage;
      answered(seen);
      clean(seen, path.dirname(file));
      const numbers = async (): Promise<readonly number[]> =>
        valueOf(await readMetrics(file)).map(({ n, at }) => {
          assert.equal(n, at);
          return n;
        });
      const left = await numbers();
      assert.deepEqual(
        left,
        [...new Set(left)].sort((a, b) => a - b),
      );
      assert.ok(left.length >= 6 || left.join() === '0,4,8', left.join());
      if (seen.crashed) return;
      metrics.add(beat(10) as never);
      valueOf(await metrics.flush());
      assert.ok(!(await fs.readFile(file)).includes(0), 'no hole');
      assert.deepEqual(await numbers(), [0, 4, 8], 'kept are those that the stride divides');
    },
  );
});
