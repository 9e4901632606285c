import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { python, servingSuite, well } from './kit.js';

describe('RecursiveTrainingRecovery in Python: going back, getting further', () => {
  const server = servingSuite();

  test('what a checkpoint brings back goes further back each time, unless something newer was saved', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager()
for step in (10, 20, 30): m.save_checkpoint('diverges', {'step': step})
seen = []
def retry(context):
    seen.append(context['state']['step'])
    if len(seen) == 2:
        m.save_checkpoint('diverges', {'step': 25})
        context['step'] = 32
    if len(seen) < 4: raise FloatingPointError('loss is NaN')
r = RecursiveTrainingRecovery({'manager': m, 'retry': retry, 'backoff': {'initial': 0.001}, 'max_retries': 2})
try: raise FloatingPointError('loss is NaN at step 31')
except FloatingPointError as error: print(r.recover(error, {'run_id': 'diverges', 'step': 31}), seen)
`,
      ),
    );
    // 30 is not tried again though it is the one before 25
    assert.equal(stdout, 'True [30, 20, 25, 20]\n');
  });

  test('it gives up once no checkpoint is left that was not tried, but for a second time', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager()
def tried(name, *steps):
    for step in steps: m.save_checkpoint(name, {'step': step})
    seen = []
    def retry(context):
        seen.append(context['state']['step'])
        raise FloatingPointError('loss is NaN')
    r = RecursiveTrainingRecovery({'manager': m, 'retry': retry, 'backoff': {'initial': '1ms'}, 'max_retries': 6})
    assert r.recover(FloatingPointError('loss is NaN'), {'run_id': name}) is False
    print(seen, r.get_recovery_status()['reasons'][-1].split('json ')[1])
tried('poisoned', 10, 20, 30)
tried('poisoned-2', 20, 30)
tried('poisoned-1', 30)
`,
      ),
    );
    const why = 'did not help, and there is no checkpoint before it that was not tried';
    assert.equal(stdout, `[30, 20, 10] ${why}\n[30, 20] ${why}\n[30, 30] ${why}\n`);
  });

  test('who gets further between failures has all retries again', async (t) => {
    const { stdout } = await well(
      python(
        t,
        server(),
        `
m = RecoveryManager()
def trained(gets_further, name='further', step=1):
    calls = []
    def retry(context):
        calls.append(1)
        gets_further(context, len(calls))
        if len(calls) < 4: raise ConnectionResetError('Connection reset by peer')
    r = RecursiveTrainingRecovery({'manager': m, 'retry': retry, 'backoff': {'initial': '1ms'}, 'max_retries': 1})
    recovered = r.recover(ConnectionResetError('Connection reset by peer'), {'run_id': name, 'step': step})
    return recovered, len(calls), r.get_recovery_status()['reasons'][-2]
def steps(context, call): context['step'] += 1
def saves(context, call): m.save_checkpoint('further', call)
def both(context, call): saves(context, call); steps(context, call)
print(trained(lambda context, call: None)[:2], trained(steps)[:2])
print(trained(both)[:2], trained(steps)[:2], trained(saves)[:2])
print(trained(saves, step=None))
`,
      ),
    );
    // once it saves, what is not saved is no progress; nor is what was saved before, saved anew
    assert.equal(
      stdout,
      '(False, 1) (True, 4)\n(True, 4) (False, 1) (False, 1)\n' +
        "(False, 1, 'whether it got further cannot be told: the context has no step')\n",
    );
  });

  test('without anything to go back to it says so, and who is no worker', async (t) => {
    const { stderr } = await well(
      python(
        t,
        server(),
        `
r = RecursiveTrainingRecovery({'retry': lambda context: True, 'backoff': {'initial': 0.001}})
for names in ({'run_id': 'a-typo'}, {'run_id': 'a/b'}, {}):
    try: raise FloatingPointError('loss is NaN')
    except FloatingPointError as error: r.recover(error, names)
`,
      ),
    );
    assert.match(stderr, /there is no checkpoint to go back to \(of a-typo\)/);
    assert.match(stderr, /\(of run_id: a worker's id is 1 to 128 letters, .*, not 'a\/b'\)/);
    assert.match(stderr, /\(of no worker: the context has no worker_id, model_id or run_id\)/);
  });

  test('where all that is kept here is damaged it does not wait for the server', async (t) => {
    await well(
      python(
        t,
        server(),
        `
os.makedirs('checkpoints/torn/unsent')
with open('checkpoints/torn/unsent/20260101T000000.000Z-000000.' + '0' * 64 + '.json', 'w') as file: file.write('{}')
r = RecursiveTrainingRecovery({'retry': lambda context: True, 'backoff': {'initial': '1ms'}})
assert r.recover(FloatingPointError('loss is NaN'), {'run_id': 'torn'}) is False
status = r.get_recovery_status()
assert status['attempts'] == 0 and 'all 1 checkpoints of torn' in status['reasons'][-1], status
`,
      ),
    );
  });
});
