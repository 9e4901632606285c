import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { judgeContent, type Judgement } from '../../src/checkpoints/judge-content.js';
import { FloatContent } from '../../src/checkpoints/verify/float-content.js';
import { worstFloat, type FloatType } from '../../src/checkpoints/verify/floats.js';
import { stampOf } from '../../src/util/os/dir-walk.js';
import { lay, noise, safetensorsOf, scratch } from './samples.js';

/** Bit patterns, least significant byte first. */
const patterns: Readonly<Record<FloatType, { inf: string; nans: string[]; finite: string[] }>> = {
  F16: { inf: '007c', nans: ['017c', '00fe', 'ffff'], finite: ['ff7b', '0000', '0080', 'fffb'] },
  BF16: { inf: '807f', nans: ['817f', 'c0ff'], finite: ['7f7f', '0080', '7fff'] },
  F32: { inf: '0000807f', nans: ['0100807f', '0000c0ff'], finite: ['ffff7f7f', '00000080'] },
  F64: {
    inf: '000000000000f07f',
    nans: ['010000000000f07f', '000000000000f8ff', '000000000100f07f'],
    finite: ['ffffffffffffef7f', '0000000000000080'],
  },
};

for (const [type, { inf, nans, finite }] of Object.entries(patterns) as [
  FloatType,
  (typeof patterns)['F16'],
][]) {
  test(`${type}: NaN, infinity and the largest number are told apart, wherever they lie`, () => {
    const width = inf.length / 2;
    const at = (place: number, hex: string): Uint8Array => {
      const bytes = Buffer.alloc(64 + place * width + width).subarray(3); // at an odd address
      const whole = bytes.subarray(0, bytes.length - (bytes.length % width));
      Buffer.from(hex, 'hex').copy(whole, place * width);
      return whole;
    };
    const negative = inf.slice(0, -2) + (parseInt(inf.slice(-2), 16) | 0x80).toString(16);
    for (const place of [0, 1, 6]) {
      for (const hex of finite) assert.equal(worstFloat(type, at(place, hex)), 'finite', hex);
      for (const hex of [inf, negative]) assert.equal(worstFloat(type, at(place, hex)), 'inf', hex);
      for (const hex of nans) assert.equal(worstFloat(type, at(place, hex)), 'nan', hex);
    }
    assert.equal(worstFloat(type, new Uint8Array(0)), 'finite');
  });
}

test('an element that two pieces share is seen whole, in the tensor that it belongs to', async () => {
  const file = Buffer.alloc(41);
  file.writeFloatLE(Number.NaN, 17);
  const tensors = [
    { name: 'bytes', dtype: 'U8', from: 8, to: 13 },
    { name: 'none', dtype: 'F32', from: 13, to: 13 },
    { name: 'w', dtype: 'F32', from: 13, to: 25 },
    { name: 'later', dtype: 'F32', from: 25, to: 41 },
  ];
  for (let size = 1; size <= file.length; size++) {
    const content = new FloatContent(tensors);
    for (let at = 0; at < file.length; at += size) await content.feed(file.subarray(at, at + size), at);
    assert.deepEqual(content.nonFinite, { nan: 'w' }, `in pieces of ${size}`);
  }
});

async function judged(t: TestContext, data: Buffer, nonFinite: 'rollback' | 'warn'): Promise<Judgement> {
  const root = scratch(t);
  lay(root, { 'c/model.safetensors': safetensorsOf({ a: 10, mask: 5 }, data), 'c/config.json': '{}' });
  const stamps = ['c', 'c/config.json', 'c/model.safetensors'].map((file) => stampOf(root, file));
  const [main, ...files] = (await Promise.all(stamps)).flatMap((stamp) => stamp ?? []);
  assert.ok(main);
  const unit = { id: 'c', members: [main], files, folders: ['c'], mayBeStep: false, expected: new Map() };
  const options = { durable: true, goOn: () => true, verify: 'auto', nonFinite } as const;
  const judgement = await judgeContent(root, unit, options);
  assert.ok(judgement);
  return judgement;
}

const numbers = (): Buffer => {
  const data = noise(60);
  for (let i = 0; i < 15; i++) data.writeFloatLE(i / 7, 4 * i);
  return data;
};

test('NaN among the weights taints a checkpoint; told to only warn, it is told', async (t) => {
  const data = numbers();
  data.writeFloatLE(Number.NaN, 4);
  const tainted = await judged(t, data, 'rollback');
  assert.equal(tainted.standing, 'tainted');
  assert.match(tainted.why, /tensor "a" of c\/model.safetensors holds NaN: the training had diverged/);
  assert.equal(tainted.lasting, true);
  assert.equal(tainted.digests.size, 2, 'its bytes are whole and are known');
  const warned = await judged(t, data, 'warn');
  assert.equal(warned.standing, 'verified');
  assert.match(warned.why, /holds NaN/);
});

test('an infinity is told and condemns nothing: masks hold them on purpose', async (t) => {
  const data = numbers();
  data.writeFloatLE(-Infinity, 40);
  const { standing, why } = await judged(t, data, 'rollback');
  assert.equal(standing, 'verified');
  assert.match(why, /every byte was read, .*tensor "mask" of c\/model.safetensors holds an infinity/);
  assert.equal((await judged(t, numbers(), 'rollback')).why.includes('infinity'), false);
});
