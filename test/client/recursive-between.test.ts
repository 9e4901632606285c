import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { behind, python, servingSuite, well } from './kit.js';

describe('RecursiveTrainingRecovery in Python: between a failure and its retry', () => {
  const server = servingSuite();

  test('a decision that the server refuses is made here, by what was asked for', async (t) => {
    const refusing = await behind(t, server(), ({ url }) =>
      url === '/v1/recovery/decision'
        ? { status: 400, body: '{"detail":"error.message is too long"}' }
        : undefined,
    );
    const { stdout, stderr } = await well(
      python(
        t,
        refusing,
        `
waited = []
real = time.sleep
time.sleep = lambda seconds: waited.append(seconds) if seconds >= 10 else real(seconds)
def retry(context): raise RuntimeError('again')
def recovered(**more):
    del waited[:]
    r = RecursiveTrainingRecovery(dict({'retry': retry, 'max_retries': 2}, **more))
    return r.recover(RuntimeError('x'), {}), waited, r.get_recovery_status()['attempts']
print(recovered(backoff={'initial': 20, 'max': '30s', 'jitter': 0}))
print(recovered(strategies={'unknown': {'retry': False, 'rollback': False}}))
recovered()
assert 10 <= waited[0] <= 12.5 and 20 <= waited[1] <= 25, waited
`,
      ),
    );
    assert.equal(stdout, '(False, [20.0, 30.0], 2)\n(False, [], 0)\n');
    assert.match(stderr, /the server cannot judge: .*error\.message is too long/);
  });

  test('a server that is away for longer than a request is tried is waited for', async (t) => {
    let away = 20;
    const back = await behind(t, server(), () => (away-- > 0 ? { status: 503 } : undefined));
    const { stderr } = await well(
      python(
        t,
        back,
        `
m = RecoveryManager(retry_for=0)
failure = ConnectionResetError('Connection reset by peer')
settings = {'manager': m, 'retry': lambda context: True, 'backoff': {'initial': 0.001}}
assert RecursiveTrainingRecovery(dict(settings, wait_for_server=0)).recover(failure) is False
real = time.sleep
time.sleep = lambda seconds: real(min(seconds, 0.01))
assert RecursiveTrainingRecovery(settings).recover(failure) is True
`,
      ),
    );
    assert.match(stderr, /asked again for up to 7\d\d\d s: .* answered 503/);
    assert.ok(away < 0);
  });

  test('a worker whose training waits for its retry is not silent', async (t) => {
    await well(
      python(
        t,
        server(),
        `
m = RecoveryManager(heartbeat_interval=0.1, heartbeat_timeout=600)
m.start_monitoring()
m.register_worker('waits')
real, beats = time.sleep, set()
def long_sleep(seconds):
    if seconds < 1000: return real(seconds)
    until(lambda: beats.add(m.get_worker('waits').last_heartbeat) or len(beats) > 3, 'beats while it waits')
time.sleep = long_sleep
r = RecursiveTrainingRecovery({'manager': m, 'retry': lambda context: True, 'backoff': {'initial': '1h', 'max': '1h'}})
assert r.recover(ConnectionResetError('Connection reset by peer'), {'worker_id': 'waits'}) is True
assert len(beats) > 3
m.unregister_worker('waits')
`,
      ),
    );
  });

  test('what a failed attempt held is free for the next one, what is suspended goes on', async (t) => {
    await well(
      python(
        t,
        server(),
        `
import weakref
class Tensor: pass
held = []
def step(tensor): raise ValueError('shapes [3] and [4] do not fit')
def numbers():
    for number in range(3):
        try: yield number
        except ValueError: yield 'passed over'
data = numbers()
def train(context):
    assert [ref() for ref in held] == [None] * len(held), held
    model = Tensor()
    held.append(weakref.ref(model))
    if len(held) > 2: return True
    next(data)
    try: step(model)
    except ValueError as error:
        data.throw(error)
        batch = Tensor()
        held.append(weakref.ref(batch))
        raise RuntimeError('again') from error
r = RecursiveTrainingRecovery({'backoff': {'initial': '1ms'}, 'retry': train})
try: train({})
except RuntimeError as error: assert r.recover(error, {}) is True
assert len(held) == 3 and next(data) == 1, held
`,
      ),
    );
  });

  test('an error that cannot say what it is is an error all the same', async (t) => {
    await well(
      python(
        t,
        server(),
        `
class Sick(Exception):
    def __str__(self): raise KeyError('detail')
r = RecursiveTrainingRecovery({'backoff': {'initial': '1ms'}, 'retry': lambda context: True})
assert r.recover(Sick(), {}) is True, r.get_recovery_status()
`,
      ),
    );
  });
});
