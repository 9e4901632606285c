import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as certificates from '../serve/certificates.js';
import { tempDir } from '../support/temp-dir.js';
import { python, serving, servingSuite, well } from './kit.js';

describe('a worker at its edges', () => {
  const server = servingSuite();

  test('its last batch is told before it is gone', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(60)
m.start_monitoring()
m.register_worker('ends')
for batch in range(100): m.heartbeat('ends', {'current_batch': batch + 1})
real = m._server.request
def request(method, path, body=None, *rest):
    print(method, path, (body or b'').decode())
    return real(method, path, body, *rest)
m._server.request = request
assert m.unregister_worker('ends')
`,
      ),
    );
    assert.equal(
      stdout,
      'POST /v1/heartbeats {"heartbeats":[{"workerId":"ends","currentBatch":100}]}\nDELETE /v1/workers/ends \n',
    );
  });

  test('a token that was changed is no trouble at the end of a training', async (t) => {
    const { stderr } = await well(
      python(
        t,
        server(),
        `
import pickle
m = RecoveryManager(60)
m.start_monitoring()
m.register_worker('locked-out')
m._server._token = 'another'
assert m.unregister_worker('locked-out') is False
try: m.get_worker('locked-out')
except RequestRefused as error: again = pickle.loads(pickle.dumps(error))
assert (again.status, type(again)) == (401, RequestRefused) and 'answered 401' in str(again)
`,
      ),
    );
    assert.match(stderr, /locked-out has finished, and will be taken for failed: .* answered 401/);
  });

  test('a spool that cannot be tidied up takes nothing from a state that the server has', async (t) => {
    const cwd = tempDir(t);
    mkdirSync(path.join(cwd, 'checkpoints/w'), { recursive: true });
    writeFileSync(path.join(cwd, 'checkpoints/w/sent'), 'a file');
    const { stderr } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(retry_for=0)
real = m._server.request
def request(*rest): raise ServerUnavailable('away')
m._server.request = request
assert 'unsent' in m.save_checkpoint('w', {'step': 1})
m._server.request, m._not_before = real, 0.0
assert 'unsent' not in m.save_checkpoint('w', {'step': 2})
assert m.load_checkpoint('w') == {'step': 2}
`,
        cwd,
      ),
    );
    assert.match(stderr, /what was kept here of w stays: .*sent/);
  });

  test('where there is no room for a thread heartbeat asks by itself, until there is', async (t) => {
    const { stderr } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(0.01, heartbeat_timeout=60)
m.start_monitoring()
real = threading.Thread.start
def start(thread): raise RuntimeError("can't start new thread")
threading.Thread.start = start
m.register_worker('cramped')
batch = [0]
def known(least):
    batch[0] += 1
    assert m.heartbeat('cramped', {'current_batch': batch[0]})
    return m.get_worker('cramped').current_batch > least
until(lambda: known(3), 'it is told without a thread')
assert m._beating is None
threading.Thread.start = real
m.heartbeat('cramped')
assert m._beating.is_alive()
m.unregister_worker('cramped')
`,
      ),
    );
    assert.equal(
      stderr.match(/no thread can beat for the workers: can't start new thread/g)?.length,
      1,
      stderr,
    );
    assert.doesNotMatch(stderr, /Traceback/);
  });

  test('numbers of other libraries are told, and what is left out is said once', async (t) => {
    const { stdout, stderr } = await well(
      python(
        t,
        server(),
        `
import fractions, numbers
class Int64:
    def __init__(self, value): self.value = value
    def __index__(self): return self.value
    def __int__(self): return self.value
numbers.Integral.register(Int64)
class Float32:
    def __init__(self, value): self.value = value
    def __float__(self): return self.value
numbers.Real.register(Float32)
class Tensor:
    def __init__(self, value, ndim=0): self.value, self.ndim = value, ndim
    def item(self): return self.value
class Device:
    def __init__(self, **fields): self.__dict__.update(fields)
class Somewhere(Tensor):
    def __init__(self, device): self.value, self.ndim, self.device = 1, 0, device
    def item(self):
        assert str(getattr(self.device, 'type', 'cpu')) == 'cpu' and getattr(self.device, 'platform', 'cpu') == 'cpu', 'it is fetched'
        return self.value
m = RecoveryManager()
m.register_worker('w')
for _ in range(3):
    m.heartbeat('w', {'current_batch': Int64(7), 'step': Int64(8), 'loss': Float32(float('nan')), 'lr': Tensor(0.5), 'half': fractions.Fraction(1, 2),
        'a': Somewhere('cpu'), 'b': Somewhere(print), 'c': Somewhere(Device(type='cpu')), 'd': Somewhere(Device(platform='cpu')),
        'cuda': Somewhere(Device(type='cuda')), 'jax': Somewhere(Device(platform='gpu')),
        'none': None, 'flag': True, 'many': Tensor(1, ndim=1), 'huge': 2**60})
print(m._worker('w').beat())
m.unregister_worker('w')
`,
      ),
    );
    assert.equal(
      stdout.trim(),
      "{'workerId': 'w', 'currentBatch': 7, 'step': 8, 'loss': 'nan', 'lr': 0.5, 'half': 0.5, 'a': 1, 'b': 1, 'c': 1, 'd': 1, 'flag': True}",
    );
    assert.match(stderr, /heartbeats of w leave 'many' out: .*Tensor/);
    assert.match(stderr, /heartbeats of w leave 'huge' out/);
    assert.match(stderr, /heartbeats of w leave 'cuda' out/);
    assert.match(stderr, /heartbeats of w leave 'jax' out/);
    assert.equal(stderr.trimEnd().split('\n').length, 4, stderr);
  });

  test('a state that would not come back is refused up front, with or without a server', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
def nested(levels):
    state = 1
    for _ in range(levels): state = [state]
    return state
away = RecoveryManager(url='http://127.0.0.1:1', retry_for=0)
for state in (None, {'a': [{1: 2, '1': 3}]}, {None: 0, 'null': 1}, nested(501), nested(100000)):
    for m in (RecoveryManager(), away):
        try: print('taken', m.save_checkpoint('w', state))
        except ValueError as error: print(error)
m = RecoveryManager()
m.save_checkpoint('w', nested(500))
assert m.load_checkpoint('w') == nested(500)
m.save_checkpoint('w', {1: 'a', None: [], True and 2: {}})
assert m.load_checkpoint('w') == {'1': 'a', 'null': [], '2': {}}
for deepest in (nested(501), None):  # the server says the same
    import json
    try: m._ask('POST', '/v1/workers/w/checkpoints', json.dumps(deepest).encode())
    except RequestRefused as error: print(error)
`,
      ),
    );
    const lines = stdout.trimEnd().split('\n');
    const said = [
      /^a checkpoint that is None would be taken for none: save a dict/,
      /state\['a'\]\[0\] has the keys 1 and '1', which are one in JSON$/,
      /state has the keys None and 'null', which are one in JSON$/,
      /nested too deeply/,
      /nested too deeply/,
    ];
    for (const [at, what] of said.entries()) {
      assert.match(lines[2 * at]!, what);
      assert.equal(lines[2 * at + 1], lines[2 * at]);
    }
    assert.match(lines[10]!, /answered 400: .*nested more than 500 deep/);
    assert.match(lines[11]!, /answered 400: the state is null, which would be taken for no checkpoint/);
  });

  test('wrong settings are said as such', async (t) => {
    const { certFile, keyFile } = certificates.asFiles(tempDir(t), 'one', certificates.one);
    const tls = await serving(t, ['--tls-cert', certFile, '--tls-key', keyFile]);
    const { stdout } = await well(
      python(
        t,
        tls,
        `
for wrong in ({'checkpoint_dir': 5}, {'checkpoint_dir': ''}, {'checkpoint_dir': b'x'}, {'retry_for': 'x'}, {'retry_for': -1}, {'retry_for': float('inf')}, {'token': ''}, {'token': b'x'}, {'url': ''}, {'ca': ''}):
    try: RecoveryManager(**wrong); print('taken')
    except ValueError as error: print(error)
import socket
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **named: real('127.0.0.1', *rest, **named)
try: RecoveryManager(url='https://trainguard.example:%s' % os.environ['TRAINGUARD_URL'].split(':')[2], ca='${certFile}').start_monitoring(); print('taken')
except ServerUnavailable as error: print(error)
`,
      ),
    );
    const lines = stdout.trimEnd().split('\n');
    const names = [
      'checkpoint_dir',
      'checkpoint_dir',
      'checkpoint_dir',
      'retry_for',
      'retry_for',
      'retry_for',
    ];
    for (const [at, name] of [...names, 'token', 'token', 'url', 'ca'].entries())
      assert.match(lines[at]!, new RegExp(`^${name} is to be .*, not `));
    assert.match(
      lines[10]!,
      /trainguard\.example.*; its certificate is for other names: say one of those in the URL/,
    );
  });
});
