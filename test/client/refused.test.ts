import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as certificates from '../serve/certificates.js';
import { tempDir } from '../support/temp-dir.js';
import { behind, type Meddled, python, serving, servingSuite, well } from './kit.js';

describe('what the server refuses, and what answers in its place', () => {
  const server = servingSuite();

  test('one whose heartbeats are refused harms no other', async (t) => {
    const picky = await behind(t, server(), ({ url, headers }) =>
      url === '/v1/heartbeats' && Number(headers['content-length']) > 2000 ? { status: 413 } : undefined,
    );
    const { stderr } = await well(
      python(
        t,
        picky,
        `
m = RecoveryManager(0.05, heartbeat_timeout=60)
m.start_monitoring()
names = ['good-1', 'bad', 'good-2']
for name in names: m.register_worker(name)
batch = [0]
def all_told():
    batch[0] += 1
    for name in names: assert m.heartbeat(name, {'text': ('x' if name == 'bad' else '') * 3000, 'more': 'y' * (900 if name == 'bad' else 0), 'loss': 1.0, 'current_batch': batch[0]})
    return min(m.get_worker(name).current_batch for name in names) > 2
until(all_told, 'all get through')
beat = list(m._worker('bad').beat())
assert beat == ['workerId', 'currentBatch'], beat
assert list(m._worker('good-1').beat()) == ['workerId', 'currentBatch', 'loss', 'text', 'more']
for call in (lambda: m.heartbeat('bad', {'current_batch': 10**17}), lambda: m.heartbeat('bad', 5)):
    try: call(); print('taken')
    except (TypeError, ValueError) as error: print(error)
for name in names: m.unregister_worker(name)
`,
      ),
    );
    assert.match(stderr, /heartbeats of bad bear its batch and phase alone from now on: .* answered 413/);
    assert.doesNotMatch(stderr, /can be reached/);
  });

  test('heartbeats of many workers with much to say are requests that the server takes', async (t) => {
    const { stderr } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(60)
names = ['much-%d' % i for i in range(40)]
for name in names:
    m.register_worker(name)
    m._worker(name).take({'current_batch': 5, **{str(i): 'x' * 5000 for i in range(50)}})
m._report([m._worker(name) for name in names])
assert all(m.get_worker(name).current_batch == 5 for name in names)
for name in names: m.unregister_worker(name)
`,
      ),
    );
    assert.equal(stderr, '');
  });

  test('a 404 that is not the word of the server is no lack of a checkpoint, and loses none', async (t) => {
    const lost = await behind(t, server(), () => ({ status: 404, body: 'no such page' }));
    const { stdout } = await well(
      python(
        t,
        lost,
        `
m = RecoveryManager(retry_for=0, checkpoint_dir='kept')
try: print('a guess', m.load_checkpoint('w'))
except ServerUnavailable as error: print(error)
print(os.path.exists(m.save_checkpoint('w', 1)), m.load_checkpoint('w'))
`,
      ),
    );
    assert.match(
      stdout,
      /^GET .* answered 404: no such page \(is the URL right\?\); whether w has a checkpoint is not known.*\nTrue 1\n$/,
    );
  });

  test('checkpoints none of which is whole are no lack of one', async (t) => {
    let answer: Meddled = { status: 409, body: '{"detail":"all 2 checkpoints of w are damaged"}' };
    const damaged = await behind(t, server(), ({ method }) => (method === 'GET' ? answer : undefined));
    const cwd = tempDir(t);
    const load = `
m = RecoveryManager(retry_for=0)
try: print('a guess', m.load_checkpoint('w'))
except RecoveryError as error: print(type(error).__name__, error)
`;
    const { stdout } = await well(python(t, damaged, load, cwd));
    assert.match(stdout, /^RequestRefused .* answered 409: all 2 checkpoints of w are damaged\n$/);
    answer = { status: 404, headers: { 'trainguard-checkpoint': 'none' } };
    const away = { ...damaged, url: 'http://127.0.0.1:1' };
    await well(
      python(t, away, 'm = RecoveryManager(retry_for=0)\nfor i in range(2): m.save_checkpoint("w", i)', cwd),
    );
    const folder = path.join(cwd, 'checkpoints/w/unsent');
    for (const name of readdirSync(folder)) writeFileSync(path.join(folder, name), 'torn');
    assert.match(
      (await well(python(t, damaged, load, cwd))).stdout,
      /^RecoveryError all 2 checkpoints of w in .*unsent are damaged .*; move them away to begin anew\n$/,
    );
  });

  test('of an attempt that is over everything stops, and nothing registers again', async (t) => {
    let over = false;
    const asked: string[] = [];
    const attempt = await behind(t, server(), (request) => {
      request.url = request.url!.replace('/attempts/0/', '/');
      if (!over) return undefined;
      asked.push(`${request.method} ${request.url}`);
      return { status: 410, body: '{"detail":"attempt 0 is over"}' };
    });
    const cwd = tempDir(t);
    const worker = python(
      t,
      { ...attempt, url: `${attempt.url}/attempts/0` },
      `
m = RecoveryManager(0.05, heartbeat_timeout=60, retry_for=0)
m.start_monitoring()
for name in ('x', 'y'):
    m.register_worker(name)
    assert m.heartbeat(name, {'current_batch': 1})
print('begun')
batch = [1]
def told():
    batch[0] += 1
    return not m.heartbeat('x', {'current_batch': batch[0]})
until(told, 'it is told')
assert not m.heartbeat('y', {'current_batch': 9})
for call in (lambda: m.register_worker('x'), lambda: m.save_checkpoint('x', 1)):
    try: call(); raise SystemExit('taken')
    except RequestRefused as error: assert error.status == 410
assert m.unregister_worker('x') is False
assert not os.path.exists('checkpoints')
`,
      cwd,
    );
    await worker.untilStdout(/begun\n/, 60_000);
    over = true;
    const { stderr } = await well(worker);
    assert.equal(stderr.match(/told to stop/g)?.length, 1, stderr);
    assert.equal(asked.length, 1, asked.join('\n'));
  });

  test('one that is registered again though it failed too often is told to stop', async (t) => {
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(60, max_failures=0)
m.register_worker('spent')
m.mark_worker_failed('spent')
assert m.register_worker('spent').status == 'failed'
assert m._worker('spent').go_on is False
m.unregister_worker('spent')
`,
      ),
    );
  });

  test('a state that is far too large is refused as that', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(retry_for=1)
for mib in (17, 100):
    try: m.save_checkpoint('large', {'a': 'x' * (mib * 2**20)}); print('taken')
    except RequestRefused as error: print(error.status)
`,
      ),
    );
    assert.equal(stdout, '413\n413\n');
  });

  test('the last step is known though the process ends at once', async (t) => {
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(60)
m.start_monitoring()
m.register_worker('brief')
for batch in range(7): m.heartbeat('brief', {'current_batch': batch})
`,
      ),
    );
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager()
assert m.get_worker('brief').current_batch == 6
m.unregister_worker('brief')
`,
      ),
    );
  });

  test('a folder that takes no checkpoints is said at once, and with the outage', async (t) => {
    const cwd = tempDir(t);
    writeFileSync(path.join(cwd, 'file'), '');
    const { stdout, stderr } = await well(
      python(
        t,
        { ...server(), url: 'http://127.0.0.1:1' },
        `
m = RecoveryManager(retry_for=0, checkpoint_dir='file/below')
m.start_monitoring()
try: m.save_checkpoint('w', 1)
except RecoveryError as error: print(error)
`,
        cwd,
      ),
    );
    assert.match(stderr, /checkpoint_dir .*file\/below cannot be written \(.*Not a directory/);
    assert.match(
      stdout,
      /^the checkpoint of w is kept nowhere: .*Connection refused.*, and checkpoint_dir cannot take it: .*Not a directory/,
    );
    assert.deepEqual(readdirSync(cwd), ['file']);
  });

  test('the wrong scheme is said at the first call', async (t) => {
    const { certFile, keyFile } = certificates.asFiles(tempDir(t), 'one', certificates.one);
    const tls = await serving(t, ['--tls-cert', certFile, '--tls-key', keyFile]);
    const first = `
for call in (RecoveryManager().start_monitoring, lambda: RecoveryManager().register_worker('w'), lambda: RecoveryManager().load_checkpoint('w')):
    try: call(); print('taken')
    except ServerUnavailable as error: print(error)
`;
    const says = async (url: string, what: RegExp): Promise<void> => {
      const { stdout } = await well(python(t, { ...tls, url }, first));
      const lines = stdout.trimEnd().split('\n');
      assert.equal(lines.length, 3);
      for (const line of lines) assert.match(line, what);
    };
    await says(tls.url.replace('https', 'http'), /it speaks https, not http\)/);
    await says(server().url.replace('http', 'https'), /does it speak http, not https\?\)/);
    await says(tls.url, /CERTIFICATE_VERIFY_FAILED.*TRAINGUARD_CA names whom to trust\)/);
  });
});

test('a server that came back on another port is found by the file beside its token', async (t) => {
  const dir = tempDir(t);
  const cwd = tempDir(t);
  const server = await serving(t, [], dir);
  const worker = python(
    t,
    { ...server, token: '' },
    `
os.environ['TRAINGUARD_TOKEN_FILE'] = '${path.join(dir, 'serve/token')}'
m = RecoveryManager(0.05, heartbeat_timeout=60)
m.start_monitoring()
m.register_worker('w')
m.save_checkpoint('w', 1)
print('saved')
until(lambda: os.path.exists('moved'), 'it moves')
assert m.load_checkpoint('w') == 1
batch = [0]
def known():
    batch[0] += 1
    assert m.heartbeat('w', {'current_batch': batch[0]})
    return m.get_worker('w').current_batch > 1
until(known, 'it beats there')
`,
    cwd,
  );
  await worker.untilStdout(/saved\n/, 60_000);
  await server.kill();
  const other = createServer().listen(Number(new URL(server.url).port), '127.0.0.1');
  t.after(() => other.close());
  const moved = await serving(t, [], dir);
  assert.notEqual(moved.url, server.url);
  assert.match(readFileSync(path.join(dir, 'serve/server.json'), 'utf8'), new RegExp(moved.url));
  other.close();
  writeFileSync(path.join(cwd, 'moved'), '');
  await well(worker);
});
