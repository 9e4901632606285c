import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import { openCheckpointStore, type OpenOptions } from '../../src/checkpoints/open.js';
import type { CheckpointFact, CheckpointStore } from '../../src/supervisor/ports.js';
import type { Result } from '../../src/util/result.js';

/** An own folder, gone after the test. */
export function scratch(t: TestContext): string {
  const parent = mkdtempSync(path.join(os.tmpdir(), 'trainguard-checkpoints-'));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  // a vault lies beside it
  // as folders usually are: other users may come in
  chmodSync(parent, 0o755);
  const dir = path.join(parent, 'scratch');
  mkdirSync(dir);
  return dir;
}

export interface ZipMember {
  readonly name: string;
  readonly data: Buffer;
  readonly deflate?: boolean;
  /** What the directory claims, when it lies. */
  readonly claimedSize?: number;
  readonly claimedCrc?: number;
}

/** A zip archive, written by hand so that it can lie. */
export function zipOf(members: readonly ZipMember[], comment = ''): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, deflate, claimedSize, claimedCrc } of members) {
    const body = deflate ? deflateRawSync(data) : data;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(deflate ? 8 : 0, 4);
    common.writeUInt32LE(claimedCrc ?? crc32(data), 10);
    common.writeUInt32LE(body.length, 14);
    common.writeUInt32LE(claimedSize ?? data.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, Buffer.from(name), body]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(
      Buffer.concat([Buffer.from('PK\x01\x02\x14\0', 'latin1'), common, rest, Buffer.from(name)]),
    );
    parts.push(local);
    offset += local.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(members.length, 4);
  end.writeUInt16LE(members.length, 6);
  end.writeUInt32LE(listing.length, 8);
  end.writeUInt32LE(offset, 12);
  end.writeUInt16LE(comment.length, 16);
  return Buffer.concat([...parts, listing, Buffer.from('PK\x05\x06', 'latin1'), end, Buffer.from(comment)]);
}

/** What `np.savez` writes, as far as a look from outside goes. */
export const npz = (seed = 0, bytes = 5000): Buffer =>
  zipOf([
    { name: 'weights.npy', data: noise(bytes, seed) },
    { name: 'bias.npy', data: Buffer.alloc(1000, seed), deflate: true },
  ]);

/** Bytes that do not compress, the same for the same seed. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (seed + 1) * 2654435761;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function safetensorsOf(tensors: Readonly<Record<string, number>>, data?: Buffer): Buffer {
  let at = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const [name, count] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape: [count], data_offsets: [at, at + 4 * count] };
    at += 4 * count;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data ?? finite(noise(at))]);
}

/** The same as little-endian floats without NaN and infinities: no exponent has its highest bit set. */
function finite(floats: Buffer): Buffer {
  for (let i = 3; i < floats.length; i += 4) floats[i] = (floats[i] ?? 0) & 0x3f;
  return floats;
}

/** A version 0 superblock that says `says` bytes, in a file of `size`. */
export function hdf5Of(size: number, says = size): Buffer {
  const file = noise(size);
  Buffer.from('\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0', 'latin1').copy(file);
  file.fill(0, 16, 40);
  file.writeBigUInt64LE(BigInt(says), 40);
  return file;
}

/** Writes files; paths may have folders. Their times lie `ageMs` back, one second apart in the order given. */
export function lay(root: string, tree: Readonly<Record<string, Buffer | string>>, ageMs = 3_600_000): void {
  let at = (Date.now() - ageMs) / 1000;
  for (const [name, data] of Object.entries(tree)) {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, data);
    utimesSync(file, at, at);
    at += 1;
  }
}

/** Hugging Face's folder of step N. */
export const trainerFolder = (step: number, more: Readonly<Record<string, Buffer | string>> = {}): Record<string, Buffer | string> => ({
  [`checkpoint-${step}/config.json`]: '{"hidden_size": 4}',
  [`checkpoint-${step}/model.safetensors`]: safetensorsOf({ w: 100 + step }),
  [`checkpoint-${step}/optimizer.pt`]: zipOf([{ name: 'optimizer/data.pkl', data: noise(300, step) }]),
  [`checkpoint-${step}/rng_state.pth`]: 'not a format that is known',
  [`checkpoint-${step}/trainer_state.json`]: JSON.stringify({ global_step: step, best_model_checkpoint: 'out/checkpoint-10' }),
  ...more,
}); // prettier-ignore

/** Both clocks in one hand. */
export class HandClock {
  wall = Date.now();
  monotonic = 1000;
  now = (): number => this.wall;
  mono = (): number => this.monotonic;
  pass(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }
}

export interface Opened {
  readonly store: CheckpointStore;
  readonly notices: string[];
  readonly clock: HandClock;
}

/** Opens a store on `dir`, or fails the test. */
export async function open(t: TestContext, dir: string, options: Partial<OpenOptions> = {}): Promise<Opened> {
  const clock = new HandClock();
  const notices: string[] = [];
  const opened = await openCheckpointStore({ ...defaults(dir, clock, notices), ...options });
  const store = value(opened);
  t.after(() => store.close());
  return { store, notices, clock };
}

export const defaults = (dir: string, clock: HandClock, notices: string[]): OpenOptions => ({
  dir,
  guessed: false,
  layout: 'auto',
  settleMs: 2000,
  provenAfterMs: 120_000,
  runId: 'run-1',
  runStartedAt: Date.now(),
  clock,
  onNotice: (text) => notices.push(text),
});

export function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

export const look = async (
  store: CheckpointStore,
  options: { live?: boolean; step?: number; budgetMs?: number } = {},
): Promise<readonly CheckpointFact[]> =>
  value(await store.inspect({ live: false, budgetMs: 60_000, ...options })).checkpoints;

/** `id:standing`, oldest first. */
export const told = (facts: readonly CheckpointFact[]): string[] =>
  facts.map(({ id, standing }) => `${id}:${standing}`);

/** Every file below a folder: path → content. */
export function bytesIn(dir: string): Map<string, Buffer> {
  const names = readdirSync(dir, { recursive: true }) as string[];
  return new Map(
    names
      .filter((name) => statSync(path.join(dir, name)).isFile())
      .map((name) => [name, readFileSync(path.join(dir, name))]),
  );
}

export const python = (code: string, ...args: string[]): string =>
  execFileSync('python3', ['-c', code, ...args], { encoding: 'utf8' });
