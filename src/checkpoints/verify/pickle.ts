import type { Format } from './types.js';

/** torch's magic number before 1.6, as the first pickle of the file holds it (LONG1, ten bytes). */
const legacyTorch = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');

/**
 * A plain pickle ends with the STOP opcode. torch's legacy files are several pickles and raw storage after them, so
 * only the magic can be seen. Nothing is ever unpickled.
 */
export const pickle: Format = {
  name: 'pickle',
  title: 'pickle',
  matches: (head) => head[0] === 0x80 && head[1] !== undefined && head[1] >= 2 && head[1] <= 5,
  async inspect(source) {
    const head = await source.read(0, 64);
    if (head.includes(legacyTorch)) return { unproven: 'a .pt of this old kind does not say where it ends' };
    const [last] = await source.read(source.size - 1, 1);
    return last === 0x2e ? {} : { damage: 'it does not end as a pickle does: the file was cut off' };
  },
};
