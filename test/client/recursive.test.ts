import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { recoveryKinds } from '../../src/recovery/strategies.js';
import { behind, clientFile, python, servingSuite, well } from './kit.js';

describe('RecursiveTrainingRecovery in Python', () => {
  const server = servingSuite();

  test('retries until one succeeds, from the newest checkpoint', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager()
m.save_checkpoint('bert', {'step': 40})
seen = []
def retry(context):
    seen.append((context['attempt'], context['state']['step'], context['mine'], type(context['error']).__name__))
    if len(seen) == 1: raise TimeoutError('NCCL timed out')
    return len(seen) > 2
r = RecursiveTrainingRecovery({'maxRetries': 5, 'backoff': {'initial': 0.001}, 'retry': retry, 'manager': m})
print(r.get_recovery_status())
context = {'run_id': 'run-1', 'model_id': 'bert', 'step': 44, 'mine': 'kept'}
try: raise ConnectionResetError('Connection reset by peer')
except OSError as error: print(r.recover(error, context))
print(seen)
status = r.get_recovery_status()
print(status['last_recovery_status'], status['attempts'], len(status['reasons']))
print(context['last_checkpoint_path'].endswith('.json'))
`,
      ),
    );
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      "{'last_recovery_status': None, 'attempts': 0, 'reasons': []}",
      'True',
      "[(1, 40, 'kept', 'ConnectionResetError'), (2, 40, 'kept', 'TimeoutError'), (3, 40, 'kept', 'str')]",
      'success 3 3',
      'True',
    ]);
  });

  test('the policy decides: a mistake in the code is not retried, max_retries are all, rules replace it', async (t) => {
    await well(
      python(
        t,
        server(),
        `
tried = []
def retry(context): tried.append(1); raise RuntimeError('again')
quick = {'initial': 0.001, 'max': 0.001}
r = RecursiveTrainingRecovery({'max_retries': 2, 'backoff': quick, 'retry': retry})
def failed(error):
    del tried[:]
    try: raise error
    except Exception as e: assert r.recover(e, RecoveryContext()) is False
    assert r.get_recovery_status()['last_recovery_status'] == 'failed'
    return len(tried)
assert failed(ImportError("cannot import name 'x' from 'y'")) == 0, r.get_recovery_status()
assert failed(ConnectionResetError('Connection reset by peer')) == 2, r.get_recovery_status()
assert r.get_recovery_status()['attempts'] == 2
r = RecursiveTrainingRecovery({'backoff': quick, 'retry': retry, 'strategies': {'network': {'retry': False, 'rollback': False}}})
assert failed(ConnectionResetError('Connection reset by peer')) == 0, r.get_recovery_status()
def prepare(context, decision): context['prepared'] = decision['kind']
r = RecursiveTrainingRecovery({'backoff': quick, 'retry': lambda context: tried.append(context['prepared']), 'strategies': {'network': {'prepare': prepare}}})
del tried[:]
assert r.recover(ConnectionResetError('Connection reset by peer')) is True and tried == ['network']
`,
      ),
    );
  });

  test('a failure that comes back at the same step after each cure is given up at last', async (t) => {
    await well(
      python(
        t,
        server(),
        `
r = RecursiveTrainingRecovery({'backoff': {'initial': 0.001}, 'retry': lambda context: True})
outcomes = []
while len(outcomes) < 10 and outcomes[-1:] != [False]:
    outcomes.append(r.recover(RuntimeError('shapes [3] and [4] do not fit'), {'step': 7}))
assert 1 < len(outcomes) < 10, outcomes
assert 'gave up' in r.get_recovery_status()['reasons'][-1], r.get_recovery_status()
`,
      ),
    );
  });

  test('recover within a retry is the next failure of the recovery under way', async (t) => {
    await well(
      python(
        t,
        server(),
        `
calls = []
def retry(context):
    calls.append(type(context['error']).__name__)
    try: raise TimeoutError('Connection timed out')
    except TimeoutError as error:
        if len(calls) == 1: return r.recover(error, context)
r = RecursiveTrainingRecovery({'backoff': {'initial': 0.001}, 'retry': retry})
assert r.recover(ConnectionResetError('Connection reset by peer'), {'attempt': 4}) is True
assert calls == ['ConnectionResetError', 'TimeoutError'], calls
assert r.get_recovery_status()['attempts'] == 2
`,
      ),
    );
  });

  test('it knows the kinds of failure that the server knows', () => {
    const table = /_KINDS = \(([^]*?)\)\.split/.exec(readFileSync(clientFile, 'utf8'))?.[1] ?? '';
    const kinds = table.match(/[a-z-]+/g) ?? [];
    assert.deepEqual(kinds.sort(), [...recoveryKinds].sort());
  });

  test('wrong contexts and settings are named', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
r = RecursiveTrainingRecovery({'retry': print})
calls = (
    lambda: r.recover('x', 5),
    lambda: r.recover('x', RecoveryContext(run_id=7)),
    lambda: RecursiveTrainingRecovery({'maxRetires': 3}),
    lambda: RecursiveTrainingRecovery({'retry': print, 'strategies': {'gpu-memory': {'retry': True}}}),
    lambda: RecursiveTrainingRecovery({}),
    lambda: RecursiveTrainingRecovery({'retry': 'train'}),
    lambda: RecursiveTrainingRecovery({'retry': print, 'backoff': {'inital': 1}}),
    lambda: RecursiveTrainingRecovery({'retry': print, 'backoff': {'initial': 'soon'}}),
    lambda: RecursiveTrainingRecovery({'retry': print, 'backoff': {'factor': 0}}),
    lambda: RecursiveTrainingRecovery({'retry': print, 'rollback_enabled': 'no'}),
)
for call in calls:
    try: call(); print('taken')
    except ValueError as error: print(error)
`,
      ),
    );
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'the context is to be a RecoveryContext, a dict, or an object whose fields can be set, not 5',
      'context: run_id is to be a text, not 7',
      'config has no max_retires; it has max_retries, rollback_enabled, backoff, retry, strategies, wait_for_server, manager',
      'strategies: gpu-memory is to say both retry and rollback, or neither',
      'config has no retry: give it the function that trains again',
      'config has no retry: give it the function that trains again',
      "backoff is to be a dict of initial, factor, max, jitter, not {'inital': 1}",
      "backoff: initial is to be a number of seconds, or a time such as '100ms', '30s' or '5m', up to 24 days, not 'soon'",
      'backoff: factor is to be a number from 1 to 1000, not 0',
      "rollback_enabled is to be True or False, not 'no'",
    ]);
  });

  test("a wrong context does not lose the training's own error, a wrong step not even the retry", async (t) => {
    const { stderr } = await well(
      python(
        t,
        server(),
        `
r = RecursiveTrainingRecovery({'retry': lambda context: True, 'backoff': {'initial': '1ms', 'jitter': 0}})
mine = ConnectionResetError('Connection reset by peer')
try: r.recover(mine, 5); raise SystemExit('taken')
except ValueError as error: assert error.__cause__ is mine
assert r.recover(mine, {'step': '12', 'attempt': -1}) is True
`,
      ),
    );
    assert.match(stderr, /context: step is to be a whole number from 0 on, not '12'; let be/);
  });

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
