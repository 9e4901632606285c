import { checkpoint } from './signatures/checkpoint.js';
import { code } from './signatures/code.js';
import { endings } from './signatures/endings.js';
import { gpu } from './signatures/gpu.js';
import { memory } from './signatures/memory.js';
import { network } from './signatures/network.js';
import type { Signature } from './signatures/signature.js';
import { storage } from './signatures/storage.js';

/** Every known failure, in order of precedence: the surroundings go before what came of their failing. */
export const signatures: readonly Signature[] = [
  ...memory,
  ...storage,
  ...gpu,
  ...network,
  ...checkpoint,
  ...code,
  ...endings,
];
