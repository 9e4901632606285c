import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as certificates from '../serve/certificates.js';
import { tempDir } from '../support/temp-dir.js';
import { python, serving, well } from './kit.js';

test('serve is killed again and again: workers come back by themselves, what was acknowledged is there', async (t) => {
  let server = await serving(t);
  const cwd = tempDir(t);
  const worker = python(
    t,
    server,
    `
m = RecoveryManager(0.1, heartbeat_timeout=60, retry_for=30)
m.start_monitoring()
m.register_worker('w')
step = 0
while not os.path.exists('enough'):
    step += 1
    assert m.heartbeat('w', {'current_batch': step})
    print('acknowledged', step, os.path.basename(m.save_checkpoint('w', {'step': step})))
until(lambda: m.get_worker('w').current_batch == step, 'its beats arrive again')
assert m.load_checkpoint('w') == {'step': step}
assert not os.path.exists('checkpoints'), 'no outage was so long'
`,
    cwd,
  );
  for (const life of [1, 2, 3]) {
    const step = Number((await worker.untilStdout(/acknowledged (\d+) .*\n(?![^]*acknowledged)/, 60_000))[1]);
    await server.kill();
    server = await server.again();
    const kept = saved(path.join(server.dir, 'serve/checkpoints/w'));
    const last = /acknowledged (\d+) (\S+)\n$/.exec(worker.stdout)!;
    assert.ok(Number(last[1]) >= step);
    // what it says now may lag behind what it saves: three that are newer take its place
    const newer = kept.filter((name) => name > last[2]!).length;
    assert.ok(
      kept.includes(last[2]!) || newer >= 3,
      `life ${life}: ${last[0]} is not among ${kept.join(' ')}`,
    );
    await worker.untilStdout(new RegExp(`acknowledged ${Number(last[1]) + 1} `), 60_000);
  }
  writeFileSync(path.join(cwd, 'enough'), '');
  await well(worker);
});

test('a server that is away for longer: checkpoints are kept here, the newest goes to it when it is back', async (t) => {
  const server = await serving(t);
  const cwd = tempDir(t);
  const worker = python(
    t,
    server,
    `
m = RecoveryManager(0.1, heartbeat_timeout=60, retry_for=0.5, checkpoint_dir='kept')
m.start_monitoring()
m.register_worker('Worker.1')
m.save_checkpoint('Worker.1', {'step': 1})
print('saved')
until(lambda: os.path.exists('away'), 'the server is killed')
for step in range(2, 7):
    assert m.heartbeat('Worker.1', {'current_batch': step})
    print(m.save_checkpoint('Worker.1', {'step': step}))
assert m.load_checkpoint('Worker.1') == {'step': 6}
print('waiting')
until(lambda: not m._worker('Worker.1').unsent, 'it is sent')
assert m.load_checkpoint('Worker.1') == {'step': 6}
assert m.get_worker('Worker.1').current_batch == 6
m.save_checkpoint('Worker.1', {'step': 7})
assert m.load_checkpoint('Worker.1') == {'step': 7}
`,
    cwd,
  );
  await worker.untilStdout(/saved\n/, 60_000);
  await server.kill();
  writeFileSync(path.join(cwd, 'away'), '');
  await worker.untilStdout(/waiting\n/, 60_000);
  const [folder] = readdirSync(path.join(cwd, 'kept'));
  // as the server names its own: ids that differ in case alone stay apart
  assert.match(folder!, /^Worker\.1~[0-9a-f]{8}$/);
  const kept = saved(path.join(cwd, 'kept', folder!, 'unsent'));
  assert.equal(kept.length, 3, 'so many as the server would keep');
  for (const name of kept)
    assert.equal(sha256(path.join(cwd, 'kept', folder!, 'unsent', name)), name.split('.').at(-2));
  const again = await server.again();
  await well(worker);
  const newest = saved(path.join(again.dir, 'serve/checkpoints', folder!)).at(-1)!;
  assert.equal(
    readFileSync(path.join(again.dir, 'serve/checkpoints', folder!, newest), 'utf8'),
    '{"step":7}',
  );
  assert.deepEqual(
    saved(path.join(cwd, 'kept', folder!, 'unsent')),
    [],
    'what the server has counts no more here',
  );
});

test('a worker that was killed while the server was away goes on from what it kept', async (t) => {
  const server = await serving(t);
  const cwd = tempDir(t);
  await server.kill();
  const began = python(
    t,
    server,
    `
m = RecoveryManager(0.1, retry_for=0.1)
m.start_monitoring()
try: m.load_checkpoint('w'); print('a guess')
except ServerUnavailable: print('unknown is not none')
m.register_worker('w')
for step in (1, 2): m.save_checkpoint('w', {'step': step})
print('kept'); sys.stdout.flush()
os.kill(os.getpid(), 9)
`,
    cwd,
  );
  assert.equal((await began.done).stdout, 'unknown is not none\nkept\n');
  // the newest was torn by a bad disk: the one before it verifies
  const folder = path.join(cwd, 'checkpoints/w/unsent');
  writeFileSync(path.join(folder, saved(folder).at(-1)!), '{"step":');
  const again = await server.again();
  await well(
    python(
      t,
      again,
      `
m = RecoveryManager(0.1)
m.start_monitoring()
m.register_worker('w')
assert m.load_checkpoint('w') == {'step': 1}
until(lambda: not m._worker('w').unsent, 'it is sent')
assert m.get_worker('w').last_checkpoint
`,
      cwd,
    ),
  );
  assert.equal(saved(path.join(again.dir, 'serve/checkpoints/w')).length, 1);
});

test('a server that lost all it knew: workers register again, and it watches again', async (t) => {
  const server = await serving(t);
  await well(
    python(
      t,
      server,
      `
m = RecoveryManager(0.1, heartbeat_timeout=2)
m.start_monitoring()
m.register_worker('w', {'current_batch': 3})
m._ask('DELETE', '/v1/workers/w')
m._ask('PUT', '/v1/monitoring', {'monitoring': True})
batch = [3]
def known():
    batch[0] += 1
    assert m.heartbeat('w', {'current_batch': batch[0]}), 'it goes on'
    worker = m.get_worker('w')
    return worker and worker.current_batch > 3
until(known, 'it is registered again')
until(lambda: m.get_worker('w').status == 'failed', 'its silence is seen')
`,
    ),
  );
});

test('a save whose answer got lost is tried again, and is one checkpoint', async (t) => {
  const server = await serving(t);
  const { stdout } = await well(
    python(
      t,
      server,
      `
m = RecoveryManager()
real, lost = m._server.request, []
def loses(method, path, *rest):
    answer = real(method, path, *rest)
    if method == 'POST' and len(lost) < 2:
        lost.append(answer)
        raise ServerUnavailable('the answer got lost')
    return answer
m._server.request = loses
path = m.save_checkpoint('w', {'step': 1})
assert len(lost) == 2 and all(one.json()['path'] == path for one in lost), lost
assert not os.path.exists('checkpoints')
print(path)
`,
    ),
  );
  assert.deepEqual(saved(path.join(server.dir, 'serve/checkpoints/w')), [path.basename(stdout.trim())]);
});

test('a server that keeps its checkpoints in the folder that a worker has for an outage loses none', async (t) => {
  const dir = tempDir(t);
  const kept = path.join(dir, 'checkpoints');
  const server = await serving(t, ['--checkpoint-dir', kept], dir);
  const save = 'm.save_checkpoint("w", {"step": step})';
  await well(python(t, server, `m = RecoveryManager()\nfor step in (1, 2): ${save}`, dir));
  await server.kill();
  const away = `m = RecoveryManager(retry_for=0)\nstep = 3\n${save}`;
  await well(python(t, server, away, dir));
  const again = await server.again();
  const back = `m = RecoveryManager()\nassert m.load_checkpoint("w") == {"step": 3}\nstep = 4\n${save}`;
  await well(python(t, again, back, dir));
  const states = saved(path.join(kept, 'w')).map((name) => readFileSync(path.join(kept, 'w', name), 'utf8'));
  assert.deepEqual(
    states,
    [1, 2, 4].map((step) => `{"step":${step}}`),
  );
  assert.equal(saved(path.join(kept, 'w/sent')).length, 1);
});

test('over TLS, by the certificate that TRAINGUARD_CA names and no other', async (t) => {
  const dir = tempDir(t);
  const { certFile, keyFile } = certificates.asFiles(dir, 'one', certificates.one);
  const { certFile: other } = certificates.asFiles(dir, 'other', certificates.other);
  const server = await serving(t, ['--tls-cert', certFile, '--tls-key', keyFile]);
  const { stdout } = await well(
    python(
      t,
      server,
      `
try: RecoveryManager(retry_for=0, ca='${other}').get_worker('w')
except ServerUnavailable as error: print(error)
os.environ['TRAINGUARD_CA'] = '${certFile}'
m = RecoveryManager()
m.register_worker('w')
print(m.heartbeat('w'), m.save_checkpoint('w', 1) and m.load_checkpoint('w'))
try: RecoveryManager(ca='/nowhere')
except RecoveryError as error: print(error)
`,
    ),
  );
  const [stranger, known, nowhere] = stdout.trimEnd().split('\n');
  assert.match(
    stranger!,
    /^https:.*cannot be reached \(.*CERTIFICATE_VERIFY_FAILED.*; TRAINGUARD_CA names whom to trust\)$/,
  );
  assert.equal(known, 'True 1');
  assert.match(nowhere!, /^ca: \/nowhere cannot be read/);
});

/** Names of checkpoints there, the oldest first. */
const saved = (dir: string): string[] =>
  readdirSync(dir)
    .filter((name) => /^\d{8}T\d{6}\.\d{3}Z-\d{6}\.[0-9a-f]{64}\.json$/.test(name))
    .sort();

const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

test('a training that waits for each try does so long from the second in a row on', async (t) => {
  const { stdout } = await well(
    python(
      t,
      await serving(t),
      `
m = RecoveryManager(5)
m._took = 1
for _ in range(2):
    m._away(ServerUnavailable('it stalled'))
    print(m._not_before - time.monotonic() > 10)
`,
    ),
  );
  assert.equal(stdout, 'False\nTrue\n');
});
