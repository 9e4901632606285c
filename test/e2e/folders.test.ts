import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pythonPath } from '../support/python.js';
import { runCli, type Ended } from '../support/run-cli.js';
import type { TestEnd } from '../support/cleanup.js';
import { tempDir } from '../support/temp-dir.js';
import { summaryOf, treeOf } from './kit.js';

/** Saves every tenth step wherever `save` puts it; resumes from the step that trainguard names. */
const trainer = (body: string): string => `
import os, random, sys, time, zipfile
attempt = int(os.environ['TRAINGUARD_ATTEMPT'])
start = int(os.environ.get('TRAINGUARD_RESUME_STEP', 0))
with open('starts', 'a') as starts: starts.write(f"{start} {os.environ.get('TRAINGUARD_RESUME_FROM', '')}\\n")

def write(folder, step, torn=False):
    os.makedirs(folder, exist_ok=True)
    name = os.path.join(folder, f'step-{step}.npz')
    with zipfile.ZipFile(name + '.tmp', 'w') as archive: archive.writestr('w.npy', random.Random(step).randbytes(3000))
    if torn: os.truncate(name + '.tmp', 1000)
    os.rename(name + '.tmp', name)
${body}
for step in range(start + 1, 41):
    print(f'step {step} loss {1 / step}', flush=True)
    if step % 10 == 0: save(step)
`;

const backoff = ['--backoff-initial', '0.05', '--json'] as const;

async function run(t: TestEnd, cwd: string, flags: readonly string[]): Promise<Ended> {
  const command = [pythonPath(), 'train.py'];
  const config = path.join(cwd, 'recovery.config.json');
  if (!existsSync(config)) writeFileSync(config, JSON.stringify({ checkpoints: { settle: '50ms' } }));
  return runCli(t, ['run', ...backoff, ...flags, '--', ...command], { cwd }).done;
}

test('two folders, a crash between the saves of both: all go back to the step that both have', async (t) => {
  const cwd = tempDir(t);
  writeFileSync(path.join(cwd, 'train.py'), trainer(`
def save(step):
    write('gen', step)
    if attempt == 0 and step == 30: os._exit(1)
    write('disc', step)`)); // prettier-ignore
  const ended = await run(t, cwd, ['--checkpoint-dir', 'gen', '--checkpoint-dir', 'disc']);
  assert.equal(ended.code, 0, ended.stderr);
  const { run: view } = summaryOf(ended);
  assert.match(view.failures[0]?.rolledBackTo ?? '', /^gen\/step-20\.npz/);
  const [first, second] = readFileSync(path.join(cwd, 'starts'), 'utf8').split('\n');
  assert.equal(first, '0 ');
  assert.equal(second, `20 ${path.join(cwd, 'gen', 'step-20.npz')}`);
  for (const dir of ['gen', 'disc']) assert.deepEqual(readdirSync(path.join(cwd, dir)).sort(), ['step-10.npz', 'step-20.npz', 'step-30.npz', 'step-40.npz']); // prettier-ignore
  const quarantine = path.join(cwd, '.gen.trainguard', 'quarantine');
  assert.deepEqual(readdirSync(quarantine).flatMap((tx) => readdirSync(path.join(quarantine, tx))), ['step-30.npz']); // prettier-ignore
  const state = JSON.parse(readFileSync(path.join(cwd, '.trainguard', 'runs', 'train', 'state.json'), 'utf8')) as { settings: { checkpointDir: string; checkpointDirs: string[] } }; // prettier-ignore
  assert.deepEqual(state.settings.checkpointDirs, [path.join(cwd, 'gen'), path.join(cwd, 'disc')]);
  assert.equal(state.settings.checkpointDir, path.join(cwd, 'gen'));
  // nobody else can have either of them meanwhile, and both are free again
  const again = await run(t, cwd, ['--name', 'other', '--checkpoint-dir', 'disc']);
  assert.equal(again.code, 0, again.stderr);
});

test('a glob: a folder that an attempt makes is taken in while it runs, and one step is gone back to over all', async (t) => {
  const cwd = tempDir(t);
  writeFileSync(path.join(cwd, 'train.py'), trainer(`
def save(step):
    write(f'logs/version_{attempt}/checkpoints', step, torn=attempt == 1 and step == 40)
    if attempt < 2 and step == [20, 40][attempt]:
        # the next one is only looked for once this folder was seen
        until = time.time() + 60
        vault = f'logs/version_{attempt}/.checkpoints.trainguard/manifests'
        while not (os.path.isdir(vault) and os.listdir(vault)) and time.time() < until: time.sleep(0.05)
        os._exit(1)`)); // prettier-ignore
  const ended = await run(t, cwd, ['--checkpoint-dir', 'logs/version_*/checkpoints']);
  assert.equal(ended.code, 0, ended.stderr);
  const starts = readFileSync(path.join(cwd, 'starts'), 'utf8').trim().split('\n');
  const at = (name: string): string => path.join(cwd, 'logs', name);
  assert.deepEqual(starts, ['0 ', `20 ${at('version_0/checkpoints/step-20.npz')}`, `30 ${at('version_1/checkpoints/step-30.npz')}`]); // prettier-ignore
  assert.ok(existsSync(at('version_2/checkpoints/step-40.npz')));
  assert.deepEqual(readdirSync(at('version_1/checkpoints')), ['step-30.npz']);
  assert.match(ended.stdout, /no folder matches .*version_\*\/checkpoints yet/);
  assert.equal(summaryOf(ended).run.checkpoint.latest?.id, 'version_2/checkpoints/step-40.npz');
});

test('folders one inside the other, or inside the state folder: 78, and nothing is written', async (t) => {
  const cwd = tempDir(t);
  mkdirSync(path.join(cwd, 'a', 'b'), { recursive: true });
  writeFileSync(path.join(cwd, 'train.py'), '');
  writeFileSync(path.join(cwd, 'recovery.config.json'), '{}');
  const before = treeOf(cwd);
  const refusals: readonly [readonly string[], RegExp][] = [
    [['a', 'a/b'], /lie one inside the other/],
    [['a', '.trainguard/x*'], /inside the state folder/],
  ];
  for (const [dirs, words] of refusals) {
    const ended = await run(
      t,
      cwd,
      dirs.flatMap((dir) => ['--checkpoint-dir', dir]),
    );
    assert.equal(ended.code, 78, ended.stderr);
    assert.match(ended.stderr, words);
  }
  assert.deepEqual(
    Object.keys(treeOf(cwd)).filter((name) => !name.includes('trainguard')),
    Object.keys(before),
  );
});

test('checkpoints.include and checkpoints.clean act at a rollback, and are refused where they would ruin it', async (t) => {
  const cwd = tempDir(t);
  writeFileSync(path.join(cwd, 'train.py'), trainer(`
def save(step):
    with open('loader.json', 'w') as state: state.write(str(step))
    with open('junk.tmp', 'w') as junk: junk.write('junk')
    write('ckpts', step, torn=attempt == 0 and step == 20)
    if attempt == 0 and step == 10:
        until = time.time() + 60
        while not (os.path.isdir('.ckpts.trainguard/includes') and [n for n in os.listdir('.ckpts.trainguard/includes') if n[0] != '.']) and time.time() < until: time.sleep(0.05)
    if attempt == 0 and step == 20: os._exit(1)
if attempt == 1:
    with open('seen', 'w') as seen: seen.write(open('loader.json').read() + str(os.path.exists('junk.tmp')))`)); // prettier-ignore
  const config = (checkpoints: unknown): void => writeFileSync(path.join(cwd, 'recovery.config.json'), JSON.stringify({ checkpoints })); // prettier-ignore
  config({ dir: 'ckpts', settle: '50ms', include: ['loader.json'], clean: ['*.tmp'] });
  const ended = await run(t, cwd, []);
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(readFileSync(path.join(cwd, 'seen'), 'utf8'), '10False');
  config({ dir: 'ckpts', clean: ['.'] });
  const refused = await run(t, cwd, []);
  assert.equal(refused.code, 78);
  assert.match(refused.stderr, /checkpoints\.clean names .*, which is or holds the checkpoint folder/);
});

test('a rollback by hand brings back what was kept with the checkpoint', async (t) => {
  const cwd = tempDir(t);
  writeFileSync(path.join(cwd, 'train.py'), trainer(`
def save(step):
    with open('loader.json', 'w') as state: state.write(str(step))
    write('ckpts', step)
    kept = '.ckpts.trainguard/includes'
    until = time.time() + 60
    while not (os.path.isdir(kept) and any(n.startswith(f'step-{step}') for n in os.listdir(kept))) and time.time() < until: time.sleep(0.05)`)); // prettier-ignore
  const checkpoints = { dir: 'ckpts', settle: '50ms', include: ['loader.json'], clean: ['*.tmp'] };
  writeFileSync(path.join(cwd, 'recovery.config.json'), JSON.stringify({ checkpoints }));
  const ended = await run(t, cwd, []);
  assert.equal(ended.code, 0, ended.stderr);
  writeFileSync(path.join(cwd, 'cache.tmp'), 'of a newer state');
  const back = await runCli(t, ['rollback', 'train', '--to', 'step:20'], { cwd }).done;
  assert.equal(back.code, 0, back.stderr);
  assert.equal(readFileSync(path.join(cwd, 'loader.json'), 'utf8'), '20');
  assert.match(back.stdout, /loader\.json is put back as it was then/);
  assert.ok(!existsSync(path.join(cwd, 'cache.tmp')), 'cleaned by hand as well');
  const undone = await runCli(t, ['rollback', 'train', '--undo'], { cwd }).done;
  assert.equal(undone.code, 0, undone.stderr);
  assert.equal(readFileSync(path.join(cwd, 'loader.json'), 'utf8'), '40');
});
