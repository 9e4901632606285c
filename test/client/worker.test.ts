import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { python, servingSuite, well } from './kit.js';

describe('a worker in Python', () => {
  const server = servingSuite();

  test('registers, beats, saves, loads, is marked failed, comes back, ends', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(heartbeat_interval=5, max_failures=3, checkpoint_dir='local')
m.start_monitoring()
print(m.load_checkpoint('w'))
began = time.time()
w = m.register_worker('w', {'current_batch': 7})
assert began - 5 < w.last_heartbeat < time.time() + 5, w
print(w.worker_id, w.status, w.last_checkpoint, w.failure_count, w.current_batch)
print(m.heartbeat('w', {'current_batch': 8, 'loss': float('nan')}))
print(m.get_worker('w').current_batch)
path = m.save_checkpoint('w', {'step': 8, 'text': 'Grüße ' + chr(0x1f600)})
print(m.get_worker('w').last_checkpoint == path, m.load_checkpoint('w'))
print([f.worker_id for f in m.get_failed_workers()])
w = m.mark_worker_failed('w', 'the GPU fell off the bus')
print(w.status, w.failure_count, [f.worker_id for f in m.get_failed_workers()])
print(m.mark_worker_failed('w').failure_count)
print(m.register_worker('w').status)
print(m.unregister_worker('w'), m.unregister_worker('w'), m.get_worker('w'))
m.stop_monitoring()
print(m.heartbeat('w'))
`,
      ),
    );
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'None',
      'w active None 0 7',
      'True',
      '8',
      "True {'step': 8, 'text': 'Grüße 😀'}",
      '[]',
      "failed 1 ['w']",
      '2',
      'recovered',
      'True False None',
      'False',
    ]);
  });

  test('a loop that hangs is seen, though its process beats; one that evaluates is not taken for it', async (t) => {
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(0.1, heartbeat_timeout=3)  # longer than a machine at work stands still
m.start_monitoring()
m.register_worker('hung'); m.register_worker('evaluating')
hung = lambda: m.get_worker('hung').status == 'failed'
with m.phase('evaluating', 'eval'):
    for batch in range(5):
        assert m.heartbeat('hung', {'current_batch': batch})
        time.sleep(0.02)
    # the same batch again and again is no progress
    def still(): m.heartbeat('hung', {'current_batch': 4}); return hung()
    until(still, 'the hung one fails')
    assert m._beating.is_alive()
    assert m.get_worker('evaluating').failure_count == 0
m.heartbeat('hung', {'current_batch': 5})
until(lambda: m.get_worker('hung').status == 'recovered', 'it recovers')
def goes_on():
    goes_on.batch += 1
    m.heartbeat('hung', {'current_batch': goes_on.batch})
    return m.get_worker('hung').status == 'active'
goes_on.batch = 5
until(goes_on, 'it is active again')
assert m.get_worker('hung').failure_count == 1
m.heartbeat('evaluating', {'phase': 'eval'})
until(hung, 'the hung one fails again')
assert m.get_worker('evaluating').status == 'active'
m.heartbeat('evaluating', {'current_batch': 1})
until(lambda: m.get_worker('evaluating').status == 'failed', 'its phase was over')
m.unregister_worker('hung'); m.unregister_worker('evaluating')
`,
      ),
    );
  });

  test('one that failed more often than it may is told to stop, and no other', async (t) => {
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(0.1, max_failures=1, heartbeat_timeout=60)
m.register_worker('bad'); m.register_worker('good')
assert m.heartbeat('bad', {'current_batch': 1})
for _ in range(2): m.mark_worker_failed('bad')
batch = [1]
def told():
    batch[0] += 1
    assert m.heartbeat('good', {'current_batch': batch[0]})
    return not m.heartbeat('bad', {'current_batch': batch[0]})
until(told, 'it is told to stop')
assert not m.heartbeat('nobody'), 'whom nobody registered'
m.unregister_worker('bad'); m.unregister_worker('good')
`,
      ),
    );
  });

  test('is killed, and its next life goes on from its checkpoint', async (t) => {
    const program = `
m = RecoveryManager()
m.start_monitoring()
m.register_worker('killed')
state = m.load_checkpoint('killed') or {'step': 0}
print('from', state['step'])
while state['step'] < 30:
    state['step'] += 1
    assert m.heartbeat('killed', {'current_batch': state['step']})
    m.save_checkpoint('killed', state)
    print('saved', state['step'])
    time.sleep(0.01)
print('done')
m.unregister_worker('killed')
`;
    const first = python(t, server(), program);
    await first.untilStdout(/saved 5\n/, 60_000);
    first.kill('SIGKILL');
    const { stdout: before } = await first.done;
    const { stdout } = await well(python(t, server(), program));
    const saved = Number(/saved (\d+)\n$/.exec(before)?.[1]);
    const from = Number(/from (\d+)/.exec(stdout)?.[1]);
    // the last one may have been saved before it could say so
    assert.ok(from === saved || from === saved + 1, `${from} after ${saved}`);
    assert.match(stdout, /done/);
  });

  test('a thousand heartbeats of many workers are a few requests', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(0.5, heartbeat_timeout=60)
m.start_monitoring()
names = ['many-%d' % i for i in range(50)]
for name in names: m.register_worker(name)
asked = []
real = m._server._exchange
m._server._exchange = lambda method, path, *rest: (asked.append(path), real(method, path, *rest))[1]
for name in names: m.heartbeat(name, {'current_batch': 0})
first = len(asked)
for batch in range(1, 1001):
    for name in names: assert m.heartbeat(name, {'current_batch': batch})
until(lambda: len(asked) > first and all(w.told == w.moved for w in m._workers.values()), 'all are told')
print(first < 100, len(asked) - first < 200, asked.count('/v1/heartbeats') > 50)
assert all(m.get_worker(name).current_batch == 1000 for name in names[:3])
for name in names: m.unregister_worker(name)
`,
      ),
    );
    assert.equal(stdout, 'True True True\n');
  });

  test('a fork has a connection, workers and a thread of its own', async (t) => {
    await well(
      python(
        t,
        server(),
        `
import warnings
warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12 warns of any fork beside threads
m = RecoveryManager(0.1, heartbeat_timeout=60)
m.start_monitoring()
m.register_worker('parent')
m.heartbeat('parent', {'current_batch': 1})
ended = []
for child in range(4):
    held = m._lock.acquire() if child % 2 else None  # as if a thread had it in this moment
    pid = os.fork()
    if pid == 0:
        try:
            assert m._beating is None and m._workers == {}
            name = 'child-%d' % child
            m.register_worker(name)
            for batch in range(20):
                assert m.heartbeat(name, {'current_batch': batch}); time.sleep(0.01)
            m.save_checkpoint(name, {'by': os.getpid()})
            assert m._beating.is_alive()
            until(lambda: m.get_worker(name).current_batch == 19, 'its thread beats')
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    if held: m._lock.release()
    ended.append(pid)
for child, pid in enumerate(ended):
    assert os.waitpid(pid, 0)[1] == 0
    assert m.load_checkpoint('child-%d' % child) == {'by': pid}
    m.unregister_worker('child-%d' % child)
m.heartbeat('parent', {'current_batch': 2})
until(lambda: m.get_worker('parent').current_batch == 2, 'the parent beats on')
m.unregister_worker('parent')
`,
      ),
    );
  });

  test('many threads use one manager', async (t) => {
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(0.05, heartbeat_timeout=60)
m.start_monitoring()
trouble = []
def work(name):
    try:
        m.register_worker(name)
        for batch in range(50):
            assert m.heartbeat(name, {'current_batch': batch})
            if batch % 10 == 0: m.save_checkpoint(name, {'batch': batch})
        assert m.load_checkpoint(name) == {'batch': 40}
        assert m.unregister_worker(name)
    except BaseException as error:
        trouble.append(error)
threads = [threading.Thread(target=work, args=('thread-%d' % i,)) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert trouble == [], trouble
`,
      ),
    );
  });

  test("a signal's handler saves while its own thread beats and saves; a manager is not sent to other processes", async (t) => {
    await well(
      python(
        t,
        server(),
        `
import pickle, signal
m = RecoveryManager(0.05, heartbeat_timeout=60)
m.start_monitoring()
m.register_worker('preempted')
saved = []
signal.signal(signal.SIGUSR1, lambda *_: saved.append(m.save_checkpoint('preempted', {'by': 'handler'})))
for locked in (m._lock, m._worker('preempted').saving):
    with locked:
        os.kill(os.getpid(), signal.SIGUSR1)
        until(lambda: saved, 'the handler is through')
        del saved[:]
assert m.load_checkpoint('preempted') == {'by': 'handler'}
try: pickle.dumps(m); raise SystemExit('it was')
except TypeError as error: assert 'make one in each' in str(error)
m.unregister_worker('preempted')
`,
      ),
    );
  });

  test('one that has ended is not registered again by what was under way', async (t) => {
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(0.02, heartbeat_timeout=60)
m.start_monitoring()
real = m._ask
def slow(method, path, *rest):
    if path == '/v1/heartbeats': time.sleep(0.01)  # so that it ends meanwhile
    return real(method, path, *rest)
m._ask = slow
for _ in range(20):
    m.register_worker('ended')
    for batch in range(5):
        m.heartbeat('ended', {'current_batch': batch}); time.sleep(0.005)
    assert m.unregister_worker('ended')
    for _ in range(3):
        time.sleep(0.005)
        assert m.get_worker('ended') is None
`,
      ),
    );
  });

  test('what JSON cannot hold is refused, and where it is said', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager()
loop = []; loop.append(loop)
class Tensor: pass
for state in ({'a': [1, {'lr': float('nan')}]}, [float('-inf')], {'w': Tensor()}, {'s': {1}}, {(1, 2): 3}, {'l': loop}):
    try: m.save_checkpoint('w', state); print('taken')
    except (TypeError, ValueError) as error: print(type(error).__name__, error)
for call in (lambda: m.heartbeat('../x'), lambda: m.register_worker(''), lambda: m.heartbeat('w', {'current_batch': -1}), lambda: RecoveryManager(0)):
    try: call(); print('taken')
    except ValueError as error: print(error)
`,
      ),
    );
    const [nan, infinity, tensor, set, key, loop, ...wrong] = stdout.trimEnd().split('\n');
    assert.match(nan!, /^ValueError .*state\['a'\]\[1\]\['lr'\] is nan$/);
    assert.match(infinity!, /^ValueError .*state\[0\] is -inf$/);
    assert.match(tensor!, /^TypeError .*state\['w'\] is a __main__\.Tensor/);
    assert.match(set!, /^TypeError .*state\['s'\] is a builtins\.set/);
    assert.match(key!, /^TypeError .*state has the key \(1, 2\)/);
    assert.match(loop!, /holds itself$/);
    assert.match(wrong[0]!, /a worker's id is .*'\.\.\/x'/);
    assert.match(wrong[1]!, /a worker's id is .*''/);
    assert.equal(wrong[2], 'current_batch is to be a whole number from 0 on, not -1');
    assert.equal(wrong[3], 'heartbeat_interval is to be a number of seconds above 0, not 0');
  });

  test('a wrong token is said at once, and a training under way goes on without', async (t) => {
    await well(
      python(
        t,
        { ...server(), token: 'wrong' },
        `
m = RecoveryManager(0.05, retry_for=0.2, checkpoint_dir='local')
for call in (m.start_monitoring, lambda: m.register_worker('w')):
    try: call(); raise SystemExit('taken')
    except RequestRefused as error: assert error.status == 401, error
assert m.heartbeat('w', {'current_batch': 1})
assert m.save_checkpoint('w', {'step': 1}).startswith(os.path.abspath('local')), 'kept, not lost'
`,
      ),
    );
  });
});
