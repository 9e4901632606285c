import { FloatContent, type TensorPlace } from './float-content.js';
import { parseJson } from './json-text.js';
import { quote } from './quote.js';
import type { Format } from './types.js';

/** The format's own limit on its header. */
const longestHeader = 100_000_000;
/** A hundred thousand tensors. What is longer is made to be slow: parsing it takes seconds, and gigabytes. */
const longestParse = 16 * 1024 * 1024;

/** Bits per element, by safetensors' dtype names; an unknown one is not checked. */
const dtypeBits: Readonly<Record<string, number>> = {
  F4: 4, F6_E2M3: 6, F6_E3M2: 6, BOOL: 8, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8,
  I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, I64: 64, U64: 64, F64: 64, C64: 64,
}; // prettier-ignore

/** Places count from the end of the header. */
interface Tensor extends TensorPlace {
  readonly shape: readonly number[];
}

/** Header, contiguous offsets, dtype × shape, exact end of file. The format has no checksum: of its data only NaN and infinity can be told. */
export const safetensors: Format = {
  name: 'safetensors',
  title: 'safetensors file',
  matches: (head) => head.length >= 9 && head[8] === 0x7b && head.readBigUInt64LE(0) <= longestHeader,
  async inspect(source) {
    const length = await source.read(0, 8);
    const headerBytes = length.length < 8 ? Infinity : Number(length.readBigUInt64LE(0));
    const dataStart = 8 + headerBytes;
    if (dataStart > source.size) return { damage: 'its header is cut off' };
    if (headerBytes > longestParse) return {};
    const header = parseJson((await source.read(8, headerBytes)).toString('utf8'));
    if (!header.ok) return { damage: `its header is no JSON (${header.error})` };
    const tensors = readTensors(header.value);
    if (typeof tensors === 'string') return { damage: tensors };
    const wrong = checkTensors(tensors, source.size - dataStart);
    if (wrong !== undefined) return { damage: wrong };
    const places = tensors.map(({ name, dtype, from, to }) => ({ name, dtype, from: dataStart + from, to: dataStart + to })); // prettier-ignore
    return { content: new FloatContent(places) };
  },
};

function readTensors(header: unknown): Tensor[] | string {
  if (typeof header !== 'object' || header === null) return 'its header is no table of tensors';
  const tensors: Tensor[] = [];
  for (const [name, value] of Object.entries(header as Record<string, unknown>)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets } = (value ?? {}) as {
      dtype?: unknown;
      shape?: unknown;
      data_offsets?: unknown;
    };
    if (
      typeof dtype !== 'string' ||
      !isNumbers(shape) ||
      !isNumbers(data_offsets) ||
      data_offsets.length !== 2
    )
      return `its header describes tensor ${quote(name)} wrongly`;
    tensors.push({ name, dtype, shape, from: data_offsets[0] ?? 0, to: data_offsets[1] ?? 0 });
  }
  return tensors.sort((a, b) => a.from - b.from || a.to - b.to);
}

function checkTensors(tensors: readonly Tensor[], dataBytes: number): string | undefined {
  let at = 0;
  for (const { name, dtype, shape, from, to } of tensors) {
    const said = quote(name);
    if (from !== at) return `tensor ${said} does not begin where the one before ends`;
    const bits = dtypeBits[dtype];
    if (bits !== undefined && (to - from) * 8 !== shape.reduce((product, side) => product * side, bits))
      return `tensor ${said} has another size than its shape`;
    at = to;
  }
  if (at > dataBytes) return `its data is cut off: ${dataBytes} of ${at} bytes are there`;
  return at < dataBytes ? `${dataBytes - at} bytes follow its data` : undefined;
}

const isNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && Number(item) >= 0);
