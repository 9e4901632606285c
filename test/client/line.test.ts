import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TestEnd } from '../support/cleanup.js';
import { tempDir } from '../support/temp-dir.js';
import { behind, python, servingSuite, well } from './kit.js';

describe('a line that is cut', () => {
  const server = servingSuite();

  const isNoFailure = async (t: TestEnd, how: 'cut' | 'held'): Promise<void> => {
    const cwd = tempDir(t);
    const trouble = path.join(cwd, how);
    const line = await behind(t, server(), () => (existsSync(path.join(cwd, 'cut')) ? 'cut' : undefined));
    const worker = python(
      t,
      line,
      `
m = RecoveryManager(0.1, max_failures=0, heartbeat_timeout=3)  # longer than a machine at work stands still
m.start_monitoring()
m.register_worker('far')
real = m._server.request
def request(*asked):
    while os.path.exists('held'): time.sleep(0.01)
    return real(*asked)
m._server.request = request
batch = 0
while not os.path.exists('enough'):
    batch += 1
    assert m.heartbeat('far', {'current_batch': batch}), 'it is told to stop'
    if batch == 1: print('begun')
    time.sleep(0.01)
m.unregister_worker('far')
`,
      cwd,
    );
    const watches = (what: string, fact: string): string => `
m = RecoveryManager()
def fact():
    far = m.get_worker('far')
    return ${fact}
until(fact, '${what}')
`;
    await worker.untilStdout(/begun\n/, 60_000);
    writeFileSync(trouble, '');
    await well(python(t, server(), watches('it is missed', 'far.failure_count == 1')));
    rmSync(trouble);
    const back = watches('it goes on', "(far.status, far.failure_count) == ('active', 0)");
    await well(python(t, server(), back));
    writeFileSync(path.join(cwd, 'enough'), '');
    await well(worker);
  };

  test('is no failure of a worker that got on meanwhile', (t) => isNoFailure(t, 'cut'));
  test('and came to again holds none against it either', (t) => isNoFailure(t, 'held'));

  test('costs a training without a thread a twentieth of its time, and saves nothing with one', async (t) => {
    await well(
      python(
        t,
        server(),
        `
def cut(m):
    real, asked = m._server.request, []
    def request(method, path, *rest):
        asked.append(path)
        time.sleep(0.05)
        raise ServerUnavailable('the line is cut')
    m._server.request = request
    return real, asked

alone = RecoveryManager(0.05, retry_for=0)
alone.register_worker('alone')
cut(alone)
alone.heartbeat('alone', {'current_batch': 1})
assert alone._not_before - time.monotonic() < 0.2, 'one may be a moment'
for call in (lambda: alone.heartbeat('alone', {'current_batch': 2}), lambda: alone.save_checkpoint('alone', 1)):
    alone._not_before = 0.0
    call()
    assert alone._not_before - time.monotonic() > 10 * alone._took >= 0.5, 'it waits'

m = RecoveryManager(0.05, heartbeat_timeout=60, retry_for=0)
m.start_monitoring()
m.register_worker('w')
real, asked = cut(m)
batch = [0]
def beats():
    batch[0] += 1
    assert m.heartbeat('w', {'current_batch': batch[0]})
    return m._failures > 0
until(beats, 'the thread meets the cut')
saves = lambda: sum(path.endswith('/checkpoints') for path in asked)
kept = [m.save_checkpoint('w', {'step': step}) for step in range(5)]
assert saves() == 1 and all(map(os.path.exists, kept[-3:])), (saves(), kept)
m._server.request = real
# the loop hangs, and says nothing: that the line is back is found all the same
until(lambda: m._failures == 0 and not m._worker('w').unsent, 'the newest is sent')
assert m.load_checkpoint('w') == {'step': 4}
assert 'unsent' not in m.save_checkpoint('w', {'step': 5})
for name in ('w', 'alone'): m.unregister_worker(name)
`,
      ),
    );
  });

  test('is found to be back where nobody beats, too', async (t) => {
    const { stderr } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(0.05, retry_for=0)
real = m._server.request
def request(*rest): raise ServerUnavailable('the line is cut')
m._server.request = request
m.start_monitoring()
m.save_checkpoint('saves-only', {'step': 1})
m._server.request = real
until(lambda: not m._worker('saves-only').unsent, 'it is sent')
`,
      ),
    );
    assert.match(stderr, /has what was kept here for saves-only/);
  });
});
