import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { recoveryKinds } from '../../src/recovery/strategies.js';
import { clientFile, python, servingSuite, well } from './kit.js';

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
});
