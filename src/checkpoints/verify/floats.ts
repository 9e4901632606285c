export type FloatType = 'F16' | 'BF16' | 'F32' | 'F64';

export const isFloatType = (dtype: string): dtype is FloatType => Object.hasOwn(floatBytes, dtype);

export const floatBytes: Readonly<Record<FloatType, number>> = { F16: 2, BF16: 2, F32: 4, F64: 8 };

/** IEEE 754: all exponent bits set. With another bit beside the sign it is a NaN, else an infinity. */
const exponentBits = { F16: 0x7c00, BF16: 0x7f80, F32: 0x7f800000, F64: 0x7ff00000 };

/**
 * The worst of some little-endian floats, 0.2 to 0.5 s a GiB.
 * @param bytes whole ones
 */
export function worstFloat(type: FloatType, bytes: Uint8Array): 'finite' | 'inf' | 'nan' {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, length } = aligned;
  if (type === 'F32') return worstWord(new Uint32Array(buffer, byteOffset, length / 4), exponentBits.F32);
  if (type === 'F64') return worstPair(new Uint32Array(buffer, byteOffset, length / 4));
  return worstHalf(new Uint16Array(buffer, byteOffset, length / 2), exponentBits[type]);
}

// one loop a width: a loop over several kinds of arrays is several times slower

function worstHalf(halves: Uint16Array, infinity: number): 'finite' | 'inf' | 'nan' {
  let inf = false;
  for (let i = 0; i < halves.length; i++) {
    const magnitude = (halves[i] ?? 0) & 0x7fff;
    if (magnitude < infinity) continue;
    if (magnitude > infinity) return 'nan';
    inf = true;
  }
  return inf ? 'inf' : 'finite';
}

function worstWord(words: Uint32Array, infinity: number): 'finite' | 'inf' | 'nan' {
  let inf = false;
  for (let i = 0; i < words.length; i++) {
    const magnitude = (words[i] ?? 0) & 0x7fffffff;
    if (magnitude < infinity) continue;
    if (magnitude > infinity) return 'nan';
    inf = true;
  }
  return inf ? 'inf' : 'finite';
}

/** The high word comes second. */
function worstPair(words: Uint32Array): 'finite' | 'inf' | 'nan' {
  let inf = false;
  for (let i = 1; i < words.length; i += 2) {
    const magnitude = (words[i] ?? 0) & 0x7fffffff;
    if (magnitude < exponentBits.F64) continue;
    if (magnitude > exponentBits.F64 || words[i - 1] !== 0) return 'nan';
    inf = true;
  }
  return inf ? 'inf' : 'finite';
}
