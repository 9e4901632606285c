import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { verifyFile, type FileVerdict } from '../../src/checkpoints/verify/file.js';
import { verifyUnit } from '../../src/checkpoints/verify/unit.js';
import {
  hdf5Of,
  lay,
  noise,
  npz,
  python,
  safetensorsOf,
  scratch,
  trainerFolder,
  zipOf,
  type ZipMember,
} from './samples.js';

const always = { deep: true, goOn: () => true };

async function judge(
  t: TestContext,
  name: string,
  data: Buffer | string,
  expected?: string,
): Promise<FileVerdict> {
  const file = path.join(scratch(t), name);
  writeFileSync(file, data);
  return verifyFile(file, always, expected);
}

async function assertGood(t: TestContext, name: string, data: Buffer | string): Promise<void> {
  const { damage, digest } = await judge(t, name, data);
  assert.equal(damage, undefined);
  assert.match(digest ?? '', /^xxh3-64:[0-9a-f]{16}$/);
}

async function assertBad(t: TestContext, name: string, data: Buffer | string, why: RegExp): Promise<void> {
  assert.match((await judge(t, name, data)).damage ?? 'found good', why);
}

describe('zip family', () => {
  test('what Python writes is good: stored, deflated, zip64, streamed, with a comment, empty', async (t) => {
    const dir = scratch(t);
    python(
      `
import io, os, sys, zipfile
os.chdir(sys.argv[1])
class Pipe(io.RawIOBase):
    def __init__(self, name): self.f = open(name, 'wb')
    def writable(self): return True
    def write(self, b): return self.f.write(b)
def fill(z, **how):
    with z.open('w.npy', 'w', **how) as f: f.write(os.urandom(300_000))
    z.writestr('zeros.npy', bytes(5_000_000)); z.writestr('empty.npy', b''); z.mkdir('folder')
for name, method in (('stored', 0), ('deflated', 8), ('bzip2', 12)):
    with zipfile.ZipFile(name + '.npz', 'w', method) as z: fill(z)
with zipfile.ZipFile('wide.npz', 'w') as z: fill(z, force_zip64=True)
with zipfile.ZipFile(Pipe('piped.npz'), 'w', 8) as z: fill(z)
with zipfile.ZipFile('comment.npz', 'w') as z: fill(z); z.comment = b'PK\\x05\\x06' + b'x' * 300
with zipfile.ZipFile('none.npz', 'w') as z: pass
`,
      dir,
    );
    for (const name of ['stored', 'deflated', 'bzip2', 'wide', 'piped', 'comment', 'none']) {
      const verdict = await verifyFile(path.join(dir, `${name}.npz`), always);
      assert.equal(verdict.damage, undefined, name);
      assert.ok(verdict.digest, name);
    }
  });

  test('cut off anywhere it is damaged', async (t) => {
    const whole = npz(1, 3000);
    const file = path.join(scratch(t), 'step-1.npz');
    for (let length = 0; length < whole.length; length += 37) {
      writeFileSync(file, whole.subarray(0, length));
      assert.ok((await verifyFile(file, always)).damage, `at ${length} of ${whole.length}`);
    }
  });

  test('one flipped bit in stored or deflated data, beyond the first block too', async (t) => {
    const data = noise(9_000_000);
    for (const deflate of [false, true]) {
      const bytes = zipOf([
        { name: 'data.pkl', data: noise(100) },
        { name: 'w', data, deflate },
      ]);
      await assertGood(t, 'a.pt', bytes);
      bytes[8_000_000] = (bytes[8_000_000] ?? 0) ^ 1;
      await assertBad(t, 'a.pt', bytes, /^"w" (has another CRC|cannot be inflated)/);
    }
  });

  test('a hole of zeros where the disk never got the bytes', async (t) => {
    await assertBad(t, 'a.npz', npz(1, 20_000).fill(0, 4096, 8192), /CRC/);
    await assertBad(t, 'a.npz', Buffer.alloc(20_000), /begins with zeros/);
  });

  test('bytes before the first entry or after the end record', async (t) => {
    await assertBad(t, 'a.npz', Buffer.concat([npz(), Buffer.from('x')]), /after its end record/);
    const torn = npz();
    await assertBad(t, 'a.npz', Buffer.concat([torn.subarray(0, 100), torn]), /directory is not where/);
  });

  test('all CRCs zero is unknown, not bad', (t) =>
    assertGood(t, 'a.pt', zipOf([{ name: 'a/data.pkl', data: noise(5000), claimedCrc: 0 }])));

  const mebi = 1024 * 1024;
  const hostile: Record<string, { members: ZipMember[]; why: RegExp }> = {
    'inflates to more than declared': {
      members: [{ name: 'b.npy', data: Buffer.alloc(64 * mebi), deflate: true, claimedSize: 1000 }],
      why: /inflates to more than the 1000 bytes/,
    },
    'declares more than deflate can hold': {
      members: [{ name: 'b.npy', data: Buffer.alloc(100), deflate: true, claimedSize: 0xfffffff0 }],
      why: /more than deflate can hold/,
    },
    'inflates to less': {
      members: [{ name: 'b.npy', data: Buffer.alloc(1000), deflate: true, claimedSize: 1001 }],
      why: /CRC/,
    },
  };
  for (const [name, { members, why }] of Object.entries(hostile)) {
    test(`hostile: ${name}`, (t) => assertBad(t, 'a.npz', zipOf(members), why));
  }

  test('hostile: a count without room, entries that overlap, a header that disagrees', async (t) => {
    const many = npz();
    many.writeUInt16LE(0xfff0, many.length - 12);
    await assertBad(t, 'a.npz', many, /claims 65520 entries/);
    const twice = zipOf([
      { name: 'a.npy', data: noise(100) },
      { name: 'a.npy', data: noise(100) },
    ]);
    twice.writeUInt32LE(0, twice.length - 22 - 5 - 4);
    await assertBad(t, 'a.npz', twice, /overlap/);
    const renamed = npz();
    renamed.write('W', 30);
    await assertBad(t, 'a.npz', renamed, /header of "weights.npy" does not match/);
  });

  test('memory stays bounded however large an entry is', async (t) => {
    const file = path.join(scratch(t), 'big.npz');
    python(
      `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', 8) as z:
    for name in ('a.npy', 'b.npy'):
        with z.open(name, 'w') as f:
            for _ in range(100): f.write(bytes(1 << 20))
`,
      file,
    );
    const before = process.resourceUsage().maxRSS;
    assert.equal((await verifyFile(file, always)).damage, undefined);
    assert.ok(process.resourceUsage().maxRSS - before < 50 * 1024, 'KiB more than before');
  });
});

describe('other formats', () => {
  test('safetensors', async (t) => {
    const good = safetensorsOf({ a: 10, b: 20 });
    await assertGood(t, 'm.safetensors', good);
    await assertBad(t, 'm.safetensors', good.subarray(0, -1), /cut off: 119 of 120 bytes/);
    await assertBad(t, 'm.safetensors', good.subarray(0, 20), /header is cut off/);
    await assertBad(t, 'm.safetensors', Buffer.concat([good, good]), /bytes follow its data/);
    const shape = Buffer.from(good.toString('latin1').replace('[20]', '[21]'), 'latin1');
    await assertBad(t, 'm.safetensors', shape, /"b" has another size than its shape/);
    const offset = Buffer.from(good.toString('latin1').replace('[40,', '[44,'), 'latin1');
    await assertBad(t, 'm.safetensors', offset, /"b" does not begin where/);
  });

  test('HDF5', async (t) => {
    await assertGood(t, 'w.h5', hdf5Of(5000));
    await assertBad(t, 'w.h5', hdf5Of(4000, 5000), /cut off: 4000 of 5000/);
    await assertBad(t, 'w.h5', hdf5Of(5000, 96), /not closed/);
  });

  test('JSON as Python writes it, NaN included', async (t) => {
    await assertGood(t, 's.json', '{"loss": NaN, "text": "NaN \\" Infinity", "bounds": [-Infinity, 1e5]}');
    await assertBad(t, 's.json', '{"loss": 0.5, "log": [1, 2', /no valid JSON/);
    await assertBad(t, 's.json', 'loss: 5', /is no JSON file/);
  });

  test('pickles, by their stop and by torch’s old magic', async (t) => {
    const file = path.join(scratch(t), 'state.pt');
    python('import pickle,sys; pickle.dump(list(range(999)), open(sys.argv[1], "wb"), 4)', file);
    const bytes = readFileSync(file);
    await assertGood(t, 'state.pt', bytes);
    await assertBad(t, 'state.pt', bytes.subarray(0, -1), /does not end as a pickle/);
    const legacy = Buffer.concat([Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'), noise(100)]);
    await assertGood(t, 'rng_state.pth', legacy);
    assert.match((await judge(t, 'rng_state.pth', legacy)).unproven ?? '', /does not say where it ends/);
  });

  test('an unknown format is hashed, but empty where its name promises content', async (t) => {
    await assertGood(t, 'tokenizer.txt', 'hello');
    await assertGood(t, 'merges.txt', '');
    for (const name of ['a.pt', 'a.npz', 'a.safetensors', 'a.json']) await assertBad(t, name, '', /empty/);
    assert.match((await judge(t, 'step_60', 'text', 'zip')).damage ?? '', /no zip archive/);
  });
});

test('a shard that its index names must be there', async (t) => {
  const root = scratch(t);
  const map = {
    weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
  };
  lay(root, {
    'c/model.safetensors.index.json': JSON.stringify(map),
    'c/model-00001-of-00002.safetensors': safetensorsOf({ a: 3 }),
  });
  const files = ['c/model-00001-of-00002.safetensors', 'c/model.safetensors.index.json'];
  const torn = await verifyUnit({ root, files, expected: new Map() }, always);
  assert.match(torn.damage ?? '', /shard "model-00002-of-00002.safetensors" is missing/);
  lay(root, { 'c/model-00002-of-00002.safetensors': safetensorsOf({ b: 3 }) });
  const all = [...files, 'c/model-00002-of-00002.safetensors'];
  assert.equal((await verifyUnit({ root, files: all, expected: new Map() }, always)).damage, undefined);
});

test('the step that a checkpoint records must be its name’s', async (t) => {
  const root = scratch(t);
  lay(root, { ...trainerFolder(20), 'checkpoint-30/trainer_state.json': '{"global_step": 20}' });
  lay(root, {
    'checkpoint-best/trainer_state.json': '{"global_step": 20}',
    'checkpoint-4/trainer_state.json': '[]',
  });
  const damageOf = async (folder: string): Promise<string | undefined> => {
    const files = [`${folder}/trainer_state.json`];
    return (await verifyUnit({ root, files, expected: new Map(), bytes: 0 }, always)).damage;
  };
  for (const good of ['checkpoint-20', 'checkpoint-best', 'checkpoint-4'])
    assert.equal(await damageOf(good), undefined, good);
  assert.match((await damageOf('checkpoint-30')) ?? '', /it records step 20, and lies in "checkpoint-30"/);
});

test('the digest tells any two contents apart, and out of time it stays with the structure', async (t) => {
  const file = path.join(scratch(t), 'x.bin');
  const bytes = noise(9_000_000);
  const digestOf = async (): Promise<string | undefined> => {
    writeFileSync(file, bytes);
    return (await verifyFile(file, always)).digest;
  };
  const first = await digestOf();
  assert.equal(await digestOf(), first);
  bytes[8_999_999] = (bytes[8_999_999] ?? 0) ^ 1;
  assert.notEqual(await digestOf(), first);
  assert.deepEqual(await verifyFile(file, { deep: true, goOn: () => false }), {});
  await assert.rejects(verifyFile(`${file}-gone`, always), { code: 'ENOENT' });
});
