import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { processWords } from '../../../src/commands/preflight/holder.js';
import { parseApps, parseGpus, parseSlices } from '../../../src/commands/preflight/nvidia-smi.js';
import { visibleGpus } from '../../../src/commands/preflight/visible-gpus.js';
import { fakeSmi, scene } from './kit.js';

const [uuid0, uuid1] = [
  'GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2',
  'GPU-3e34e62f-d88e-f448-415e-be2cbf2c6178',
];
const idle = `0, ${uuid0}, 4, 81559\n1, ${uuid1}, 4, 81559\n`;
const held = `0, ${uuid0}, 4, 81559\n1, ${uuid1}, 71803, 81559\n`;
/** Ours is a process that /proc shows; the other one is as a container sees it. */
const apps = `${uuid1}, 4000001, 20000, /opt/conda/envs/a b, c/bin/python\n${uuid1}, ${process.pid}, 51803, ${process.argv0}\n${uuid1}, ${process.ppid}, 1, another\n`;
const slices = `GPU 0: NVIDIA A100-SXM4-80GB (UUID: ${uuid0})
  MIG 1g.10gb     Device  0: (UUID: MIG-feb88891-0321-5fef-9c87-d4af3b54259e)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: ${uuid1})
  MIG 3g.40gb     Device  0: (UUID: MIG-a25704ba-3a06-5299-a795-fd7cf4d13973)
`;
const ready = { type: 'ready' };

describe('what nvidia-smi says', () => {
  test('figures, and words in their place', () => {
    const { gpus, others } = parseGpus(
      `0, ${uuid0}, 11419, 16063\n1, ${uuid1}, [N/A], [N/A]\n2, ${uuid1}, [Unknown Error], 16063\n3, [GPU is lost], [GPU is lost], [GPU is lost]\n4, ${uuid1}, ERR!, 16063\n`,
    );
    assert.deepEqual(others, []);
    assert.deepEqual(
      gpus.map(({ index, usedMiB, totalMiB, trouble }) => [index, usedMiB, totalMiB, trouble]),
      [
        [0, 11419, 16063, undefined],
        [1, undefined, undefined, undefined],
        [2, undefined, 16063, '[Unknown Error]'],
        [3, undefined, undefined, '[GPU is lost]'],
        [4, undefined, 16063, 'ERR!'],
      ],
    );
  });

  test('processes, whose names may hold commas', () => {
    assert.deepEqual(parseApps(`${uuid0}, 77, [N/A], a, b\nnonsense\n`), [
      { uuid: uuid0, pid: 77, program: 'a, b' },
    ]);
  });

  test('a pid that is another program here is named as nvidia-smi does', () => {
    assert.equal(processWords(process.pid, '/opt/bin/other'), `other (pid ${process.pid})`);
    assert.match(processWords(process.pid, process.argv0), /\(pid \d+, of \S+\)$/);
  });

  test('slices and whose they are', () => {
    assert.deepEqual(
      [...parseSlices(slices)],
      [
        ['MIG-feb88891-0321-5fef-9c87-d4af3b54259e', uuid0],
        ['MIG-a25704ba-3a06-5299-a795-fd7cf4d13973', uuid1],
      ],
    );
  });
});

describe('CUDA_VISIBLE_DEVICES', () => {
  const reading = { gpus: parseGpus(idle).gpus, slices: parseSlices(slices) };
  const cases: readonly (readonly [string | undefined, readonly number[], string?])[] = [
    [undefined, [0, 1]],
    ['', []],
    ['1', [1]],
    ['1,0', [1, 0]],
    ['0,-1,1', [0]],
    ['0, 1', [0, 1]],
    ['0,7,1', [0], '7'],
    [uuid1, [1]],
    ['GPU-3e34', [1]],
    ['GPU-ffff', [], 'GPU-ffff'],
    ['MIG-a25704ba-3a06-5299-a795-fd7cf4d13973', [1]],
    ['MIG-a25704ba', [1]],
    [`MIG-${uuid1}/1/0`, [1]],
    ['MIG-ffff', [], 'MIG-ffff'],
  ];
  for (const [list, indices, missing] of cases) {
    test(String(list), () => {
      const visible = visibleGpus(list, reading);
      assert.deepEqual(
        visible.gpus.map(({ index }) => index),
        indices,
      );
      assert.equal(visible.missing, missing);
      assert.equal(visible.shared.size, list?.startsWith('MIG-') === true && missing === undefined ? 1 : 0);
    });
  }
});

describe('before a retry', () => {
  test('the memory of the visible GPUs is waited for, and who holds it is named', async (t) => {
    const smi = fakeSmi(t);
    smi.says({ gpus: held, apps });
    const { ask } = scene(t, { env: { ...smi.env, CUDA_VISIBLE_DEVICES: '0,1' } });
    const answer = await ask('gpu-memory');
    assert.equal(answer.type, 'wait');
    const { for: words } = answer as { for: string };
    assert.match(
      words,
      /^the memory of GPU 1 to be free: 70\.1 GiB of 79\.6 GiB are held by \S+ \(pid \d+, of \S+\) and python \(pid 4000001\) and 1 more$/,
    );
    assert.ok(words.includes(`(pid ${process.pid}, of `));
    smi.says({ gpus: idle });
    assert.deepEqual(await ask('gpu-memory', 1000), answer, 'it is not asked at every look');
    assert.deepEqual(await ask('gpu-memory', 10_000), ready);
  });

  test('a GPU that the worker does not see may be as full as it likes', async (t) => {
    const smi = fakeSmi(t);
    smi.says({ gpus: held, apps });
    for (const list of ['0', '', '-1', 'GPU-67a5']) {
      const { ask } = scene(t, { env: { ...smi.env, CUDA_VISIBLE_DEVICES: list } });
      assert.deepEqual(await ask('gpu-memory'), ready, list);
    }
  });

  test('after five minutes it goes on and says so; after another failure than this one after one', async (t) => {
    const smi = fakeSmi(t);
    smi.says({ gpus: held });
    const { ask, notices } = scene(t, { env: { ...smi.env, CUDA_VISIBLE_DEVICES: '1' } });
    assert.equal((await ask('gpu-memory')).type, 'wait');
    assert.equal((await ask('gpu-memory', 290_000)).type, 'wait');
    assert.deepEqual(await ask('gpu-memory', 300_000), ready);
    assert.deepEqual(notices, [
      'waited in vain for the memory of GPU 1 to be free: 70.1 GiB of 79.6 GiB are held by a process that nvidia-smi does not show here; going on',
    ]);
    assert.deepEqual(await ask('exception'), ready, 'who holds it is here to stay');
    assert.deepEqual(await ask(undefined), ready);
    assert.equal((await ask('gpu-memory')).type, 'wait', 'but it may be why memory ran out');

    const other = scene(t, { env: { ...smi.env, CUDA_VISIBLE_DEVICES: '1' } });
    assert.equal((await other.ask('exception')).type, 'wait');
    assert.deepEqual(await other.ask('exception', 60_000), ready);
    assert.equal(other.notices.length, 1);
  });

  test('what was waited for in vain is said once, though something else is waited for then', async (t) => {
    const smi = fakeSmi(t);
    smi.says({ gpus: held });
    const env = { ...smi.env, CUDA_VISIBLE_DEVICES: '1' };
    const { ask, notices } = scene(t, { env, checks: ['echo x >> calls; exit 1'] });
    for (const waitedMs of [0, 300_000, 310_000, 320_000]) {
      const answer = await ask('gpu-memory', waitedMs);
      assert.match(JSON.stringify(answer), waitedMs === 0 ? /memory of GPU 1/ : /preflight check/);
    }
    assert.equal(notices.length, 1);
  });

  test('a slice shares its GPU with others, whose memory is none of its business', async (t) => {
    const smi = fakeSmi(t);
    smi.says({ gpus: held, apps, list: slices });
    const { ask } = scene(t, { env: { ...smi.env, CUDA_VISIBLE_DEVICES: 'MIG-a25704ba' } });
    assert.deepEqual(await ask('gpu-memory'), ready);
  });

  const gone = 'Unable to determine the device handle for GPU0000:65:00.0: Unknown Error';
  const ailing: readonly (readonly [string, Parameters<ReturnType<typeof fakeSmi>['says']>[0], RegExp])[] = [
    ['a lost GPU', { gpus: `0, ${uuid0}, 4, 81559\n1, ${uuid1}, [GPU is lost], [GPU is lost]\n` }, /^GPU 1 \(GPU-3e34.*\) to be well again: nvidia-smi says \[GPU is lost\]$/],
    ['a GPU off the bus', { gpus: `0, ${uuid0}, 4, 81559\n${gone}\n`, code: 255 }, /^the GPUs to answer nvidia-smi: Unable to determine the device handle/],
    ['no GPU at all', { gpus: 'No devices were found\n', code: 6 }, /^the GPUs to answer nvidia-smi: No devices were found$/],
    ['no driver', { gpus: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", code: 9 }, /couldn't communicate with the NVIDIA driver/],
    ['a GPU that is not listed', { gpus: `0, ${uuid0}, 4, 81559\n` }, /^GPU 1 of CUDA_VISIBLE_DEVICES to be listed by nvidia-smi again$/],
  ]; // prettier-ignore
  for (const [name, says, words] of ailing) {
    test(`${name} is waited for after a failure of the GPU, and after no other`, async (t) => {
      const smi = fakeSmi(t);
      smi.says(says);
      const { ask } = scene(t, { env: { ...smi.env, CUDA_VISIBLE_DEVICES: '0,1' } });
      const answer = await ask('gpu');
      assert.equal(answer.type, 'wait');
      assert.match((answer as { for: string }).for, words);
      assert.deepEqual(await ask(undefined), ready);
      assert.deepEqual(await ask('exception'), ready);
      smi.says({ gpus: idle });
      assert.deepEqual(await ask(undefined), ready);
      assert.deepEqual(await ask('gpu'), ready);
    });
  }

  test('a host without nvidia-smi is asked nothing', async (t) => {
    const { ask, notices } = scene(t, { env: { PATH: '/nowhere', CUDA_VISIBLE_DEVICES: '0' } });
    for (const kind of ['gpu', 'gpu-memory', 'exception'] as const) assert.deepEqual(await ask(kind), ready);
    assert.deepEqual(notices, []);
  });
});
