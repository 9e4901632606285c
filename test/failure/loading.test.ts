import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import type { Failure } from '../../src/failure/types.js';
import { samples, tailsOf } from './samples.js';

type Frame = readonly [file: string, name: string, code: string];
const packages = '/opt/env/lib/python3.11/site-packages';

/** What is made of an exception with these frames, the outermost first. */
function judge(error: string, ...frames: readonly Frame[]): Failure {
  const lines = frames.map(([file, name, code]) => `  File "${file}", line 7, in ${name}\n    ${code}`);
  const text = ['Traceback (most recent call last):', ...lines, error, ''].join('\n');
  return classify({ exit: { type: 'code', code: 1 }, tails: [{ source: 'err', text }], host: {} });
}

const badJson = 'json.decoder.JSONDecodeError: Unterminated string starting at: line 13 column 3 (char 290)';
const json: Frame = ['/usr/lib/python3.11/json/__init__.py', 'loads', 'return _default_decoder.decode(s)'];
const torchLoad: Frame = [`${packages}/torch/serialization.py`, 'load', 'return _legacy_load('];
const resuming: Frame = ['/a/train.py', '<module>', 'trainer.train(resume_from_checkpoint=last_checkpoint)'];
const train: Frame = [`${packages}/transformers/trainer.py`, 'train', 'return inner_training_loop('];

describe('a loader’s words count where a checkpoint was loaded', () => {
  const cases: Readonly<Record<string, readonly [error: string, ...frames: Frame[]]>> = {
    'a function of the user’s that says so': [badJson, ['/a/train.py', 'load_checkpoint', 'meta = json.load(file)'], json],
    'a line of the user’s that says so': [badJson, ['/a/train.py', 'main', 'meta = json.load(open(f"{ckpt}/meta.json"))'], json],
    'a library that loads checkpoints': [badJson, resuming, [`${packages}/transformers/trainer_callback.py`, 'load_from_json', 'text = f.read()'], json],
    'torch.load, whoever called it': ['EOFError: Ran out of input', ['/a/train.py', 'main', 'x = torch.load(path)'], torchLoad],
    'accelerate’s own folder': ['EOFError', ['/a/train.py', 'main', 'accelerator.load_state(path)'], [`${packages}/accelerate/checkpointing.py`, 'load_accelerator_state', 'states = load(f)'], torchLoad],
  }; // prettier-ignore
  for (const [name, [error, ...frames]] of Object.entries(cases)) {
    test(name, () => {
      const { kind, loading } = judge(error, ...frames);
      assert.deepEqual([kind, loading], ['checkpoint', 'unreadable']);
    });
  }
});

describe('and nowhere else', () => {
  const cases: Readonly<Record<string, readonly [error: string, ...frames: Frame[]]>> = {
    'a training that was resumed, and later met bad JSON': [badJson, resuming, train, [`${packages}/wandb/sdk/backend.py`, 'handle', 'return json.loads(text)'], json],
    'an answer of a server': [badJson, ['/a/train.py', 'fetch_model_state', 'requests.get(url).json()'], [`${packages}/requests/models.py`, 'json', 'return complexjson.loads('], json],
    'a data set’s own reader': [badJson, ['/a/train.py', '<module>', 'load_dataset("json", data_files=paths)'], [`${packages}/datasets/packaged_modules/json/json.py`, '_generate_tables', 'batch = json.loads(line)'], json],
    'a function that reads data': ['zipfile.BadZipFile: File is not a zip file', ['/a/train.py', 'load_features', 'return np.load(path)'], [`${packages}/numpy/lib/_npyio_impl.py`, 'load', 'ret = NpzFile(']],
    'torch.load of a data set': ['RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory', ['/a/data/sets.py', '__getitem__', 'return torch.load(self.files[index])'], torchLoad],
    'the same by its name': ['RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory', ['/a/train.py', 'main', 'x = torch.load("data/train.pt")'], torchLoad],
    'a reshape while a checkpoint is put to use': ['ValueError: cannot reshape array of size 10 into shape (3,4)', ['/a/train.py', 'restore', 'weights = weights.reshape(3, 4)']],
    'an invalid argument of anything but torch': ['OSError: [Errno 22] Invalid argument', ['/a/train.py', 'load_checkpoint', 'file.seek(-1)']],
    'a pipe between processes of one training': ['ConnectionResetError: [Errno 104] Connection reset by peer', ['/a/train.py', 'main', 'pipe.recv()'], ['/usr/lib/python3.11/multiprocessing/connection.py', '_recv', 'chunk = read(handle, remaining)']],
    'a time limit of the program’s own': ['TimeoutError: timed out', ['/a/train.py', 'main', 'future.result(timeout=10)']],
  }; // prettier-ignore
  for (const [name, [error, ...frames]] of Object.entries(cases)) {
    test(name, () => {
      const { kind, loading } = judge(error, ...frames);
      assert.deepEqual([kind, loading], ['exception', undefined]);
    });
  }
});

test('what another process says within an exception is the cause, and the place is ours', () => {
  const sample = samples.find(({ id }) => id === 'code-dcp-misfit');
  assert.ok(sample);
  const { reason } = classify({ exit: sample.exit, tails: tailsOf(sample), host: {} });
  assert.match(
    reason,
    /: RuntimeError: Missing key in checkpoint state_dict: model\.bias\. \(train\.py line 7\)$/,
  );
});

test('what does not fit is the code’s, wherever it was loaded from', () => {
  const error =
    'RuntimeError: Error(s) in loading state_dict for Net:\n\tsize mismatch for head.weight: copying a param';
  const failure = judge(error, resuming, train, [`${packages}/torch/nn/modules/module.py`, 'load_state_dict', 'raise RuntimeError(']); // prettier-ignore
  assert.deepEqual([failure.kind, failure.loading], ['code', 'misfit']);
  assert.match(failure.reason, /size mismatch for head\.weight/);
});
