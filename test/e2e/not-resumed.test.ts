import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { pythonPath } from '../support/python.js';
import { tempDir } from '../support/temp-dir.js';
import { guard, kindsOf, quarantineOf, summaryOf, treeOf } from './kit.js';

/**
 * Never resumes. Saves every tenth step, and when it is asked to stop; FIRST=save: also before its first heartbeat;
 * FIRST=wait: it goes no further than that. EPOCHS: counts its steps anew each epoch, resumes at the epoch, and crashes
 * in attempt 0. LINGER: it ends once there is a file `go`.
 */
const script = `
import json, os, signal, sys, time
def save(name):
    with open("ckpts/tmp", "w") as file: json.dump({"step": step}, file)
    os.replace("ckpts/tmp", "ckpts/" + name)
def stop(*_):
    save("checkpoint-20.json")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
os.makedirs("ckpts", exist_ok=True)
step = 0
first = os.environ.get("FIRST", "")
epochs = int(os.environ.get("EPOCHS", "1"))
begin = 2 if "TRAINGUARD_RESUME_FROM" in os.environ and epochs > 1 else 0
for epoch in range(begin, epochs):
    for step in range(1, 21):
        if first == "save": save("checkpoint-1.json")
        print("heartbeat step=%d epoch=%d" % (step, epoch), flush=True)
        if first: time.sleep(60)
        if step % 10 == 0: save("checkpoint-%d.json" % (20 * epoch + step))
    while "LINGER" in os.environ and not os.path.exists("go"): time.sleep(0.01)
    if epoch == 1 and os.environ["TRAINGUARD_ATTEMPT"] == "0": sys.exit(1)
`;

describe('a training that begins anew though there is a checkpoint', { concurrency: 2 }, () => {
  for (const first of ['wait', 'save'] as const) {
    test(
      first === 'wait' ? 'is killed before it saves anything' : 'has what it saved first moved away',
      async (t) => {
        const cwd = tempDir(t);
        writeFileSync(path.join(cwd, 'train.py'), script);
        const train = [pythonPath(), 'train.py'];
        assert.equal((await guard(t, train, { cwd }).done).code, 0);
        const before = treeOf(path.join(cwd, 'ckpts'));
        const ended = await guard(t, train, { cwd, env: { FIRST: first } }).done;
        assert.equal(ended.code, 1, ended.stderr);
        const { run } = summaryOf(ended);
        assert.deepEqual(kindsOf(run), ['not-resumed']);
        assert.match(
          run.failures[0]?.reason ?? '',
          /began at step 1 instead of going on from step 20 \(checkpoint-20\.json\)/,
        );
        assert.match(run.failures[0]?.action ?? '', /gave up: the training does not resume/);
        assert.deepEqual(treeOf(path.join(cwd, 'ckpts')), before);
        if (first === 'save') assert.deepEqual(Object.keys(quarantineOf(cwd)), ['checkpoint-1.json']);
        if (first === 'save') return;
        // in words: what is missing, and what tells which
        const told = await guard(t, train, { cwd, env: { FIRST: first }, json: false }).done;
        assert.match(told.stderr, /it was given TRAINGUARD_RESUME_FROM.*trainguard drill/s);
      },
    );
  }

  test('has an in-place file that it wrote over put back', async (t) => {
    const cwd = tempDir(t);
    const inPlace = script.replace(/save\("checkpoint-\d+\.json"\)/g, 'save("checkpoint.json")').replace(/save\("checkpoint-%d.*\)\)/, 'save("checkpoint.json")'); // prettier-ignore
    writeFileSync(path.join(cwd, 'train.py'), inPlace);
    const train = [pythonPath(), 'train.py'];
    writeFileSync(path.join(cwd, 'recovery.config.json'), '{ "checkpoints": { "settle": "200ms" } }');
    const first = guard(t, train, { cwd, env: { LINGER: '1' } });
    // its step is known only once it was seen while the training lived; saved before the watch began, by a regular look
    await first.untilStdout(/"type":"checkpoint-verified".*"step":20/, 150_000);
    writeFileSync(path.join(cwd, 'go'), '');
    assert.equal((await first.done).code, 0);
    const file = path.join(cwd, 'ckpts', 'checkpoint.json');
    const before = readFileSync(file, 'utf8');
    const ended = await guard(t, train, { cwd, env: { FIRST: 'save' } }).done;
    assert.deepEqual(kindsOf(summaryOf(ended).run), ['not-resumed'], ended.stderr);
    assert.equal(readFileSync(file, 'utf8'), before);
  });

  test('is let go on where its steps count within the epoch', async (t) => {
    const cwd = tempDir(t);
    writeFileSync(path.join(cwd, 'train.py'), script);
    const ended = await guard(t, [pythonPath(), 'train.py'], { cwd, env: { EPOCHS: '3' } }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(kindsOf(summaryOf(ended).run).length, 1);
  });
});
