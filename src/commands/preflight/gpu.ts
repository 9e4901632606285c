import type { HostQuestion } from '../../supervisor/parts.js';
import { formatBytes } from '../../util/text.js';
import { processWords } from './holder.js';
import { createPatience, type Lack } from './lack.js';
import { type GpuApp, type GpuReading, readGpus } from './nvidia-smi.js';
import { namesSlices, type VisibleGpus, visibleGpus } from './visible-gpus.js';

/** What is used of a GPU's memory by nobody: the driver's own, and a desktop's. */
const idleShare = 0.1;
/** How long a GPU's memory is waited for, ms: after it ran out, and after any other failure, whose end frees it in seconds. */
const patienceMs = { outOfMemory: 5 * 60_000, otherwise: 60_000 };
/** nvidia-smi takes a second and wakes the GPU: it is not asked at every look, ms. */
const askEveryMs = 8000;

export interface GpuCheck {
  ask(question: HostQuestion): Promise<Lack | undefined>;
  /** A new wait begins. */
  reset(): void;
}

/**
 * Looks at the GPUs that the worker will use: after a GPU failed it must answer, and before any retry the memory of the
 * attempt that ended must be free again. Whoever else holds it is named, and waited for within bounds.
 */
export function createGpuCheck(
  where: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
  notice: (text: string) => void,
): GpuCheck {
  const list = where.env['CUDA_VISIBLE_DEVICES'];
  const patience = createPatience(notice);
  /** What of a GPU was in use, MiB, when it had been waited for in vain: those who hold it are here to stay. */
  const tolerated = new Map<string, number>();
  let last: { readonly waitedMs: number; readonly lack: Lack | undefined } | undefined;

  async function look({ after, waitedMs, signal }: HostQuestion): Promise<Lack | undefined> {
    const reading = await readGpus({ ...where, signal }, namesSlices(list));
    if (!reading) return undefined;
    const visible = visibleGpus(list, reading);
    const ailing = after === 'gpu' ? ailingGpu(reading, visible) : undefined;
    if (ailing) return ailing;
    const outOfMemory = after === 'gpu-memory';
    const held = heldGpu(visible, reading.apps, outOfMemory ? new Map() : tolerated);
    const limitMs = outOfMemory ? patienceMs.outOfMemory : patienceMs.otherwise;
    const waits = patience.hold(held, waitedMs, limitMs);
    if (held && !waits) for (const { uuid, usedMiB = 0 } of visible.gpus) tolerated.set(uuid, usedMiB);
    return waits;
  }

  return {
    async ask(question) {
      if (list === '' || list === '-1') return undefined;
      if (last && question.waitedMs - last.waitedMs < askEveryMs) return last.lack;
      last = { waitedMs: question.waitedMs, lack: await look(question) };
      return last.lack;
    },
    reset() {
      last = undefined;
      patience.reset();
    },
  };
}

/** A GPU that does not answer, or is not there any more. */
function ailingGpu({ trouble, gpus }: GpuReading, { missing, gpus: seen }: VisibleGpus): Lack | undefined {
  const ailing = seen.find((gpu) => gpu.trouble !== undefined);
  if (ailing) {
    const { index, uuid, trouble: says } = ailing;
    return {
      about: `GPU ${uuid}`,
      words: `GPU ${index} (${uuid}) to be well again: nvidia-smi says ${says ?? ''}`,
    };
  }
  if (trouble !== undefined)
    return { about: 'nvidia-smi', words: `the GPUs to answer nvidia-smi: ${trouble}` };
  if (missing === undefined && gpus.length > 0) return undefined;
  const what = missing === undefined ? 'any GPU' : `GPU ${missing} of CUDA_VISIBLE_DEVICES`;
  return { about: `GPU ${missing ?? ''}`, words: `${what} to be listed by nvidia-smi again` };
}

/**
 * A GPU whose memory is held.
 * @param tolerated what was in use before and stays, MiB, by UUID
 */
function heldGpu(
  { gpus, shared }: VisibleGpus,
  apps: readonly GpuApp[],
  tolerated: ReadonlyMap<string, number>,
): Lack | undefined {
  const gpu = gpus.find(({ uuid, usedMiB = 0, totalMiB = Infinity }) => {
    const idle = Math.max(totalMiB * idleShare, (tolerated.get(uuid) ?? 0) + totalMiB * (idleShare / 2));
    return !shared.has(uuid) && usedMiB > idle;
  });
  if (!gpu) return undefined;
  const holders = apps
    .filter(({ uuid }) => uuid === gpu.uuid)
    .sort((a, b) => (b.usedMiB ?? 0) - (a.usedMiB ?? 0));
  const [used, total] = [gpu.usedMiB, gpu.totalMiB].map((mib = 0) => formatBytes(mib * 1024 ** 2));
  const words = `the memory of GPU ${gpu.index} to be free: ${used} of ${total} are held by ${holderWords(holders)}`;
  const about = `memory of ${gpu.uuid} ${holders.map(({ pid }) => pid).join(' ')}`;
  return { about, words };
}

function holderWords(holders: readonly GpuApp[]): string {
  const named = holders.slice(0, 2).map(({ pid, program }) => processWords(pid, program));
  if (named.length === 0) return 'a process that nvidia-smi does not show here';
  const more = holders.length - named.length;
  return [named.join(' and '), ...(more > 0 ? [`and ${more} more`] : [])].join(' ');
}
