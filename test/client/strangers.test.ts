import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { tempDir } from '../support/temp-dir.js';
import { behind, type Meddled, python, servingSuite, well } from './kit.js';

const json = { 'content-type': 'application/json' };
const strangers: readonly Meddled[] = [
  { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Please sign in</html>' },
  { status: 200, headers: json, body: 'null' },
  { status: 200, headers: json, body: '[]' },
  { status: 200, headers: json, body: '{"answers":[{}],"workers":[1],"ok":true}' },
  { status: 201, body: 'created' },
  { status: 302, headers: { location: 'http://127.0.0.1:1/' } },
  { status: 404, body: 'no such page' },
  { status: 405 },
  { status: 410, body: 'gone' },
];

describe('what answers is not the server', () => {
  const server = servingSuite();

  test('in a training under way it is an outage: nothing is raised, no state is lost, and it is said once', async (t) => {
    const cwd = tempDir(t);
    const file = path.join(cwd, 'now');
    writeFileSync(file, '');
    const proxy = await behind(t, server(), () => {
      const now = readFileSync(file, 'utf8');
      return now === '' ? undefined : strangers[Number(now)];
    });
    const { stderr } = await well(
      python(
        t,
        proxy,
        `
def now(text):
    with open('later', 'w') as file: file.write(text)
    os.replace('later', 'now')
m = RecoveryManager(0.05, heartbeat_timeout=60, retry_for=0, checkpoint_dir='kept')
m.start_monitoring()
m.register_worker('w')
batch = [0]
def beats():
    batch[0] += 1
    assert m.heartbeat('w', {'current_batch': batch[0]}), 'it goes on'
    return m._failures > 0
for index in range(${strangers.length}):
    now('')
    until(lambda: not beats(), 'the server answers')
    name = 'w-%d' % index
    m.register_worker(name)
    now(str(index))
    until(beats, 'the thread meets the other')
    m.register_worker('later-%d' % index)
    path = m.save_checkpoint(name, {'step': index})
    assert path.startswith(os.path.abspath('kept')), path
    assert m.load_checkpoint(name) == {'step': index}
    for call in (lambda: m.load_checkpoint('other'), lambda: m.get_worker(name), m.get_failed_workers, lambda: m.mark_worker_failed(name)):
        try: raise SystemExit('%d: %r' % (index, call()))
        except ServerUnavailable: pass
    assert m.unregister_worker(name) is False
now('')
until(lambda: not beats(), 'the server answers')
assert m.get_worker('nobody') is None and not m.unregister_worker('nobody')
for index in range(${strangers.length}): m.unregister_worker('w-%d' % index); m.unregister_worker('later-%d' % index)
until(lambda: beats() or m.get_worker('w').current_batch > 1, 'it beats again')
m.unregister_worker('w')
`,
        cwd,
      ),
    );
    assert.doesNotMatch(stderr, /Traceback|should not have happened/);
  });

  test('at the start it is said at once', async (t) => {
    const { stdout } = await well(
      python(
        t,
        { ...server(), url: `${server().url}/foo` },
        `
m = RecoveryManager()
for call in (m.start_monitoring, lambda: m.register_worker('w'), lambda: m.load_checkpoint('w'), lambda: m.get_worker('w')):
    try: call(); print('taken')
    except ServerUnavailable as error: print(error)
`,
      ),
    );
    const lines = stdout.trimEnd().split('\n');
    assert.equal(lines.length, 4);
    for (const line of lines) assert.match(line, /foo\/v1\/\S+ answered 404: .*\(is the URL right\?\)/);
  });

  test('what it decides is no decision', async (t) => {
    let asked = 0;
    const proxy = await behind(t, server(), ({ url }) =>
      url === '/v1/recovery/decision' && asked++ === 0
        ? { status: 200, headers: json, body: '{"ok":true}' }
        : undefined,
    );
    await well(
      python(
        t,
        proxy,
        `
m = RecoveryManager(retry_for=0)
assert m.get_worker('nobody') is None
recovery = RecursiveTrainingRecovery({'retry': lambda context: True, 'backoff': {'initial': 0}, 'manager': m})
assert recovery.recover(ConnectionResetError('connection reset by peer')), recovery.get_recovery_status()
`,
      ),
    );
    assert.equal(asked, 2);
  });

  test('a state that is not the one that its name says is none', async (t) => {
    const name = `20261122T123245.048Z-000000.${'0'.repeat(64)}.json`;
    const answers: Record<string, Meddled> = {
      nameless: { status: 200, headers: json, body: '{"step":9}' },
      damaged: { status: 200, headers: { ...json, 'trainguard-checkpoint': name }, body: '{"step":9}' },
    };
    const proxy = await behind(t, server(), ({ url }) => answers[/workers\/(\w+)/.exec(url!)?.[1] ?? '']);
    const { stdout } = await well(
      python(
        t,
        proxy,
        `
m = RecoveryManager(retry_for=0)
for name in ('nameless', 'damaged'):
    try: print('taken', m.load_checkpoint(name))
    except ServerUnavailable as error: print(error)
`,
      ),
    );
    const [nameless, damaged] = stdout.trimEnd().split('\n');
    assert.match(nameless!, /answered with no checkpoint's name \(is the URL right\?\)/);
    assert.match(damaged!, /the checkpoint of damaged was damaged on its way/);
  });
});
