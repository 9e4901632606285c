import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultRunName, numberedRunName, validRunName } from '../../src/runs/run-name.js';

test('names that leave their folder, or confuse, are refused in one sentence that says what is allowed', () => {
  const wrong: readonly [string, RegExp][] = [
    ['', /is empty/],
    ['  ', /is empty/],
    ['a/b', /contains a slash/],
    ['../x', /slash/],
    ['a\\b', /slash/],
    ['..', /contains ".."/],
    ['a..b', /contains ".."/],
    ['.hidden', /begins with a dot/],
    ['-rf', /begins with a dash/],
    ['a\nb', /control/],
    ['a\0b', /control/],
    ['a\u202eb', /control or invisible/],
    ['\ud800', /control/],
    ['a ', /blank/],
    ['a*b', /not allowed/],
    ['$(x)', /not allowed/],
    ['x'.repeat(101), /longer than 100 characters/],
    ['𠮷'.repeat(100), /longer than 240 bytes/],
  ];
  for (const [text, why] of wrong) {
    const result = validRunName(text);
    assert.ok(!result.ok, JSON.stringify(text));
    assert.match(result.error.message, why);
    assert.match(result.error.message, /allowed are letters.*up to 100/);
    assert.ok(!/[\0\n]/.test(result.error.message) && result.error.exit === 64);
  }
  for (const text of ['train', 'train-2', 'exp_1.5', 'été 3', 'lr=0.1,wd=1', 'x'.repeat(100)]) {
    assert.deepEqual(validRunName(text), { ok: true, value: text });
  }
});

const names: readonly [string, string][] = [
  ['train', 'python train.py'],
  ['train', '/opt/venv/bin/python3.11 -u -W ignore src/train.py --config x.yaml'],
  ['mod', 'python -m pkg.mod --lr 1'],
  ['pkg', 'python3 -m pkg.__main__'],
  ['python3', 'python3'],
  ['train', 'torchrun --nproc_per_node 8 --rdzv_id job7 train.py --x'],
  ['mod', 'torchrun --nproc_per_node=8 -m pkg.mod'],
  ['torchrun', 'torchrun --help'],
  ['finetune', 'python -m torch.distributed.run --nproc_per_node 2 finetune.py'],
  ['run_clm', 'accelerate launch --config_file acc.yaml --num_processes 4 examples/run_clm.py'],
  ['ds', 'deepspeed --num_gpus 8 ds.py --deepspeed_config c.json'],
  ['train', 'conda run -n torch --no-capture-output python train.py'],
  ['train', 'env -u X CUDA_VISIBLE_DEVICES=0 OMP_NUM_THREADS=1 python train.py'],
  ['train', 'uv run --with torch python train.py'],
  ['train', 'uv run train.py'],
  ['train', 'timeout -k 5 24h nice -n 10 python train.py'],
  ['train', 'bash train.sh'],
  ['train', 'bash -o pipefail train.sh'],
  ['job', 'bash -lc "cd /data && exec python job.py --lr 1"'],
  ['mod', 'sh -c "python -m pkg.mod"'],
  ['llama3.1', './llama3.1'],
  ['my-trainer', '/usr/bin/my-trainer --x'],
  ['train', 'srun --nodes 2 python train.py'],
  ['train', 'mpirun -np 4 python train.py'],
  ['train', 'julia --project=. train.jl'],
  ['a-b', './a*b.sh'],
  ['hidden', './.hidden'],
  ['run', './---'],
];
for (const [name, command] of names) {
  test(`${command} is the run ${name}`, () => {
    const argv = (command.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ''));
    assert.equal(defaultRunName(argv), name);
  });
}

test('a default name is always valid, whatever the command is called, and can be numbered', () => {
  const scripts = [
    '',
    '..',
    './..py',
    '\n',
    '-',
    'x'.repeat(400) + '.py',
    '𠮷'.repeat(300),
    'a..b.py',
    '/',
    '​',
    'a…b ?',
  ];
  for (const script of scripts) {
    const name = defaultRunName(['python', script]);
    assert.ok(validRunName(name).ok, `${JSON.stringify(script)} → ${JSON.stringify(name)}`);
    assert.ok(validRunName(numberedRunName(name, 1234)).ok);
  }
  assert.ok(validRunName(defaultRunName([])).ok);
  assert.deepEqual(
    [1, 2, 3].map((n) => numberedRunName('train', n)),
    ['train', 'train-2', 'train-3'],
  );
});
