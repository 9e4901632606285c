import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'; // prettier-ignore
import path from 'node:path';
import { describe, test } from 'node:test';
import { lay, npz, trainerFolder } from '../checkpoints/samples.js';
import type { TestEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { root } from '../support/root.js';
import { runCli, runProgram, type Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { cannotUnshare } from '../support/unshare.js';
import { digits, guard, treeOf } from './kit.js';

const checkpoints = (t: TestEnd, cwd: string, ...args: readonly string[]): Promise<Ended> =>
  runCli(t, ['checkpoints', ...args], { cwd }).done;

interface View {
  readonly id: string;
  readonly standing: string;
  readonly step: number | null;
  readonly metric: { readonly name: string; readonly value: number } | null;
  readonly spare: boolean;
  readonly pinned: boolean;
  readonly why: string;
}

async function listed(t: TestEnd, cwd: string, ...args: readonly string[]): Promise<readonly View[]> {
  const { code, stdout, stderr } = await checkpoints(t, cwd, 'list', '--json', ...args);
  assert.equal(code, 0, stderr);
  const { schemaVersion, folders } = JSON.parse(stdout) as {
    schemaVersion: number;
    folders: { checkpoints: View[] }[];
  };
  assert.equal(schemaVersion, 1);
  return folders.flatMap((folder) => folder.checkpoints);
}

/** Changes a byte so that no stat tells. */
function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  execFileSync('touch', ['-r', file, `${file}.time`]);
  writeFileSync(file, bytes);
  execFileSync('touch', ['-r', `${file}.time`, file]);
  rmSync(`${file}.time`);
}

const folder = (
  t: TestEnd,
  tree: Readonly<Record<string, Buffer | string>>,
): { cwd: string; dir: string } => {
  const cwd = tempDir(t);
  const dir = path.join(cwd, 'ckpts');
  mkdirSync(dir);
  lay(dir, tree);
  return { cwd, dir };
};
const three = { 'step-10.npz': npz(1), 'step-20.npz': npz(2), 'step-30.npz': npz(3) };

describe('of a run', () => {
  test('listed, verified, pinned and pruned after its end', async (t) => {
    const cwd = tempDir(t);
    const command = digits('--steps', '60', '--save-every', '10', '--keep', '3', '--layout', 'folder');
    assert.equal((await guard(t, command, { cwd, flags: ['--name', 'digits'] }).done).code, 0);
    const before = treeOf(path.join(cwd, 'ckpts'));
    const all = await listed(t, cwd);
    const live = all.filter((one) => !one.spare);
    assert.deepEqual(live.map(({ step }) => step), [40, 50, 60]); // prettier-ignore
    assert.deepEqual([live.at(-1)?.standing, live.at(-1)?.why], ['safe', 'the training completed with it']);
    assert.ok(live.every(({ metric }) => metric?.name === 'loss' && metric.value > 0));

    const { stdout } = await checkpoints(t, cwd, 'list', 'digits');
    const [head, titles, ...rows] = stdout.trimEnd().split('\n');
    assert.match(head ?? '', /ckpts · huggingface · vault: .*\.ckpts\.trainguard$/);
    assert.match(titles ?? '', /^checkpoint +standing +step +size +age +loss +.*why$/);
    assert.equal(rows.length, all.length);
    assert.match(
      rows.at(-1) ?? '',
      /^checkpoint-60 +safe +60 +\S+ KiB +\S+.* the training completed with it$/,
    );

    const good = await checkpoints(t, cwd, 'verify');
    assert.equal(good.code, 0, good.stdout);
    assert.match(
      good.stdout,
      /✔ checkpoint-60 is good \(\d files, .*; every byte was read, as recorded when it was verified\)/,
    );
    const name = 'checkpoint-50/trainer_state.json';
    flip(path.join(cwd, 'ckpts', name), 30);
    const bad = await checkpoints(t, cwd, 'verify', 'digits', 'checkpoint-50');
    assert.equal(bad.code, 1);
    assert.match(bad.stdout, /^✖ checkpoint-50 is damaged: /);
    flip(path.join(cwd, 'ckpts', name), 30);
    // put back by hand: another time, so it is judged anew
    utimesSync(path.join(cwd, 'ckpts', name), new Date(), new Date());

    const pinned = await checkpoints(t, cwd, 'pin', 'checkpoint-40', '--json');
    assert.deepEqual(JSON.parse(pinned.stdout), { schemaVersion: 1, pinned: [{ id: 'checkpoint-40', dir: path.join(cwd, 'ckpts') }], dryRun: false }); // prettier-ignore
    const shown = await checkpoints(t, cwd, 'prune', '--dry-run', '--folder');
    assert.match(shown.stdout, /keeps checkpoint-40 \(checkpoint in the folder, .*\): pinned/);
    await checkpoints(t, cwd, 'unpin', 'checkpoint-40');
    const pruned = await checkpoints(t, cwd, 'prune', '--folder');
    assert.match(pruned.stdout, /ckpts: \S+ (?:B|KiB) freed\n/);
    assert.match(
      pruned.stdout,
      /removed checkpoint-40 \(checkpoint in the folder, .*\): older than the last 2/,
    );
    assert.deepEqual(readdirSync(path.join(cwd, 'ckpts')).sort(), ['checkpoint-50', 'checkpoint-60']);
    const now = treeOf(path.join(cwd, 'ckpts'));
    for (const [file, content] of Object.entries(now))
      if (file.includes('/') && file !== name) assert.equal(content, before[file], 'what stays is untouched');
  });

  test('while it is active: pinned at once for its supervisor, verified beside it, pruned by it alone', async (t) => {
    const cwd = tempDir(t);
    writeFileSync(path.join(cwd, 'recovery.config.json'), '{"checkpoints": {"settle": "50ms"}}');
    const command = digits('--steps', '100000', '--save-every', '20', '--step-time', '0.02', '--layout', 'folder', '--keep', '3'); // prettier-ignore
    const training = guard(t, command, { cwd, flags: ['--name', 'digits'] });
    // rotated away by the trainer, kept in the vault as the next to be proven
    const first = await eventually(async () => (await listed(t, cwd)).find((one) => one.spare)?.id, 'a spare'); // prettier-ignore
    assert.equal((await checkpoints(t, cwd, 'pin', first)).code, 0);
    const verified = await checkpoints(t, cwd, 'verify');
    assert.equal(verified.code, 0, verified.stdout);
    const refused = await checkpoints(t, cwd, 'prune');
    assert.equal(refused.code, 75);
    assert.match(
      refused.stderr,
      /run digits is active, and its supervisor prunes by itself; --dry-run shows/,
    );
    assert.equal((await checkpoints(t, cwd, 'prune', '--dry-run')).code, 0);
    const kept = (await listed(t, cwd)).find((one) => one.id === first);
    assert.deepEqual([kept?.spare, kept?.pinned, kept?.standing], [true, true, 'verified']);
    const { stdout } = await checkpoints(t, cwd, 'list');
    assert.match(stdout, new RegExp(`^${first} +verified .* spare, pinned `, 'm'));
    training.kill('SIGINT');
    await training.done;
  });
});

describe('of any folder, without a run', () => {
  test('listed without leaving a trace; verified: 0 all good, 1 something damaged', async (t) => {
    const { cwd, dir } = folder(t, three);
    const { code, stdout } = await checkpoints(t, cwd, 'list', 'ckpts');
    assert.equal(code, 0);
    assert.match(stdout, /ckpts · generic · vault: none yet\n/);
    assert.match(stdout, /step-10\.npz +complete .* it was not verified yet/);
    assert.equal((await checkpoints(t, cwd, 'verify', 'ckpts')).code, 0);
    assert.deepEqual(readdirSync(cwd), ['ckpts'], 'no vault was made');

    writeFileSync(path.join(dir, 'step-20.npz'), npz(2).subarray(0, 900));
    const one = await checkpoints(t, cwd, 'verify', 'ckpts', '--json');
    assert.equal(one.code, 1);
    const { ok, folders } = JSON.parse(one.stdout) as { ok: boolean; folders: { checkpoints: { id: string; verdict: string; why: string }[] }[] }; // prettier-ignore
    assert.equal(ok, false);
    assert.deepEqual(folders[0]?.checkpoints.map(({ verdict }) => verdict), ['good', 'damaged', 'good']); // prettier-ignore
    assert.match(folders.flatMap((one) => one.checkpoints)[1]?.why ?? '', /end record/);
    assert.equal((await checkpoints(t, cwd, 'verify', 'ckpts', 'step-10.npz')).code, 0, 'only that one');
    assert.equal((await checkpoints(t, cwd, 'verify', '--shallow', '--checkpoint-dir', 'ckpts')).code, 1);
  });

  test('a newest one that has rotted under an unchanged stat is not rolled back to', async (t) => {
    const { cwd, dir } = folder(t, three);
    const to = (where: string, ...more: string[]): Promise<Ended> =>
      runCli(t, ['rollback', '--to', where, '--checkpoint-dir', 'ckpts', ...more], { cwd }).done;
    assert.match((await to('latest')).stdout, /^step-30\.npz .* is already the newest/);
    const file = path.join(dir, 'step-10.npz');
    flip(file, 2000);
    assert.equal((await checkpoints(t, cwd, 'verify', 'ckpts', 'step-10.npz')).code, 1);
    const { stdout: found } = await checkpoints(t, cwd, 'list', 'ckpts');
    assert.match(found, /^step-10\.npz +corrupt /m, 'what verify found is not forgotten');
    flip(path.join(dir, 'step-30.npz'), 2000);
    const dry = await to('latest', '--dry-run');
    assert.match(dry.stderr, /"step-30\.npz" is damaged/);
    assert.match(dry.stdout, /^would roll back to step-20\.npz/);
    const named = await to('step:30');
    assert.equal(named.code, 64);
    assert.match(named.stderr, /"step-30\.npz" is corrupt .*the best one left is "step-20\.npz"/);
    const { code, stdout, stderr } = await to('latest');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^rolled back to step-20\.npz/);
    assert.deepEqual(readdirSync(dir).sort(), ['step-10.npz', 'step-20.npz']);
  });

  test('a flipped byte is seen by reading every byte, not by a shallow look', async (t) => {
    const { cwd, dir } = folder(t, three);
    flip(path.join(dir, 'step-30.npz'), 2000);
    assert.equal((await checkpoints(t, cwd, 'verify', 'ckpts', '--shallow')).code, 0);
    assert.equal((await checkpoints(t, cwd, 'verify', 'ckpts')).code, 1);
  });

  test('a save that did not end is damaged; one that somebody writes is not judged', async (t) => {
    const tree = { ...trainerFolder(10), ...trainerFolder(20) };
    delete tree['checkpoint-20/trainer_state.json'];
    const { cwd, dir } = folder(t, tree);
    const cut = await checkpoints(t, cwd, 'verify', 'ckpts');
    assert.equal(cut.code, 1);
    assert.match(cut.stdout, /✖ checkpoint-20 is damaged: trainer_state\.json is missing/);
    const held = path.join(dir, 'checkpoint-20', 'model.safetensors');
    const writer = runProgram(t, ['sh', '-c', 'exec 3>>"$1"; echo there; exec sleep 60', 'sh', held], {
      cwd,
    });
    await writer.untilStdout(/there/);
    const beside = await checkpoints(t, cwd, 'verify', 'ckpts');
    assert.match(beside.stdout, /… checkpoint-20 is being written: process \d+ has /);
    assert.equal(beside.code, 0);
    writer.kill('SIGKILL');
    await writer.done;
  });

  test('an id that is not there names the nearest; a folder that is not there says so', async (t) => {
    const { cwd, dir } = folder(t, three);
    for (const verb of [
      ['verify', 'ckpts', 'step-1.npz'],
      ['pin', 'step-1.npz', '--run', 'ckpts'],
    ]) {
      const { code, stderr, stdout } = await checkpoints(t, cwd, ...verb);
      assert.equal(code, 64);
      assert.match(stderr, /there is no checkpoint "step-1\.npz" in .*did you mean "step-10\.npz"\?/);
      assert.equal(stdout, '');
    }
    for (const args of [
      ['list', './nowhere'],
      ['verify', '--checkpoint-dir', 'nowhere'],
      ['prune', './nowhere'],
    ]) {
      const { code, stderr } = await checkpoints(t, cwd, ...args);
      assert.equal(code, 64);
      assert.match(stderr, /there is no folder .*nowhere; check its name/);
    }
    assert.match(
      (await checkpoints(t, cwd, 'list', './ckpts/step-10.npz')).stderr,
      /is a file; name the folder/,
    );
    assert.equal((await checkpoints(t, cwd, 'list', 'nobody')).code, 4, 'neither a run nor a folder');
    assert.equal((await checkpoints(t, cwd, 'list', '--layout', 'lightnin', 'ckpts')).code, 64);
    assert.equal((await checkpoints(t, cwd)).code, 64);
    assert.deepEqual(readdirSync(dir).length, 3);
  });

  test('an empty folder and unrelated files: said, and nothing is wrong', async (t) => {
    const { cwd, dir } = folder(t, {});
    assert.match((await checkpoints(t, cwd, 'list', 'ckpts')).stdout, /no checkpoints: it is empty/);
    assert.deepEqual(await listed(t, cwd, 'ckpts'), []);
    writeFileSync(path.join(dir, 'notes.txt'), 'mine');
    writeFileSync(path.join(dir, 'data.csv'), '1,2');
    assert.match(
      (await checkpoints(t, cwd, 'list', 'ckpts')).stdout,
      /2 entries of other kinds \(data\.csv, notes\.txt\)/,
    );
    const { code, stdout } = await checkpoints(t, cwd, 'verify', 'ckpts');
    assert.equal(code, 0);
    assert.match(stdout, /no checkpoint is recognised \(there is: data\.csv, notes\.txt\)/);
    assert.match((await checkpoints(t, cwd, 'prune', 'ckpts', '--dry-run')).stdout, /nothing goes/);
    assert.deepEqual(readdirSync(cwd), ['ckpts']);
  });

  test('names never reach the terminal raw', async (t) => {
    const odd = 'ev\x1b[31mil\n‮step-7.npz';
    const { cwd } = folder(t, { [odd]: npz(1), 'step-8.npz': npz(2) });
    for (const verb of ['list', 'verify'] as const) {
      const { stdout } = await checkpoints(t, cwd, verb, 'ckpts');
      assert.match(stdout, /ev\\x1b\[31mil\\x0a\\u202estep-7\.npz/);
      assert.doesNotMatch(stdout, /[\x1b‮]/);
    }
    assert.ok(
      (await listed(t, cwd, 'ckpts')).some(({ id }) => id === odd),
      'JSON has it as it is',
    );
    const pinned = await checkpoints(t, cwd, 'pin', odd, '--run', 'ckpts');
    assert.equal(pinned.code, 0, pinned.stderr);
    assert.doesNotMatch(pinned.stdout + pinned.stderr, /[\x1b‮]/);
    assert.ok((await listed(t, cwd, 'ckpts')).some(({ id, pinned: on }) => id === odd && on));
  });

  test('a file that may not be read is said to be unreadable, not damaged', { skip: process.getuid?.() === 0 && 'root may read everything' }, async (t) => {
    const { cwd, dir } = folder(t, three);
    chmodSync(path.join(dir, 'step-20.npz'), 0);
    const { code, stdout } = await checkpoints(t, cwd, 'verify', 'ckpts', 'step-20.npz');
    assert.equal(code, 1);
    assert.match(stdout, /is unreadable: EACCES/);
  }); // prettier-ignore
});

const flags = process.getuid?.() === 0 ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
const skip = cannotUnshare(...flags, 'sh', '-c', 'mount -t tmpfs tmpfs /mnt');

test('no attempt starts that cannot save: it waits for the room, saying so, and starts once it is there', { skip }, async (t) => {
  const cwd = tempDir(t);
  for (const name of ['disk', 'from']) mkdirSync(path.join(cwd, name));
  lay(path.join(cwd, 'from'), { 'step-10.npz': npz(1, 1024 * 1024), 'step-20.npz': npz(2, 1024 * 1024) });
  appendFileSync(path.join(cwd, 'from', 'filler'), Buffer.alloc(2 * 1024 * 1024));
  const script = `set -e
    mount -t tmpfs -o size=5m tmpfs disk && mkdir disk/ckpts && cp from/*.npz disk/ckpts && cp from/filler disk/
    "$@" run --checkpoint-dir disk/ckpts --name full -- sh -c 'echo trained' 2> said & run=$!
    until grep -q 'waiting for 2.0 MiB of free space for the checkpoint folder' said; do kill -0 $run && sleep 0.05; done
    test ! -e .trainguard/runs/full/attempts/000
    rm disk/filler
    wait $run`;
  const argv = [...flags, 'sh', '-c', script, 'sh', process.execPath, path.join(root, 'bin', 'trainguard.js')];
  const { code, stdout } = await runProgram(t, ['unshare', ...argv], { cwd }).done;
  const said = readFileSync(path.join(cwd, 'said'), 'utf8');
  assert.equal(code, 0, said);
  assert.match(stdout, /trained/);
  assert.match(said, /waiting for 2\.0 MiB of free space for the checkpoint folder \S+ \(\S+ \S+ there\)/);
}); // prettier-ignore
