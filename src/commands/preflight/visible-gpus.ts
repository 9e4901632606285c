import type { Gpu, GpuReading } from './nvidia-smi.js';

/** The GPUs that a worker is to use. */
export interface VisibleGpus {
  readonly gpus: readonly Gpu[];
  /** GPUs of which it has only slices (MIG): their memory is others', too. */
  readonly shared: ReadonlySet<string>;
  /** The first entry that names no GPU: CUDA takes those before it. */
  readonly missing?: string;
}

/**
 * Reads CUDA_VISIBLE_DEVICES as CUDA does: indices, UUIDs or their beginnings, MIG devices; `-1` or what is not there
 * ends the list, and no list means all. Indices count as nvidia-smi does, by bus (CUDA_DEVICE_ORDER=PCI_BUS_ID).
 * [docs.nvidia.com: CUDA environment variables, MIG user guide]
 */
export function visibleGpus(
  list: string | undefined,
  { gpus, slices }: Pick<GpuReading, 'gpus' | 'slices'>,
): VisibleGpus {
  if (list === undefined) return { gpus, shared: new Set() };
  const found: Gpu[] = [];
  const shared = new Set<string>();
  for (const name of list.split(',').map((entry) => entry.trim())) {
    if (name === '' || name === '-1' || name === 'NoDevFiles') break;
    const gpu = gpus.find(named(name, slices));
    if (!gpu) return { gpus: found, shared, missing: name };
    if (name.startsWith('MIG-')) shared.add(gpu.uuid);
    if (!found.includes(gpu)) found.push(gpu);
  }
  return { gpus: found, shared };
}

/** Whether MIG devices must be known to read the list. */
export const namesSlices = (list: string | undefined): boolean => list?.includes('MIG-') === true;

function named(name: string, slices: ReadonlyMap<string, string>): (gpu: Gpu) => boolean {
  if (/^\d+$/.test(name)) return ({ index }) => index === Number(name);
  // before driver 470: MIG-GPU-<uuid>/<GPU instance>/<compute instance>
  const old = /^MIG-(GPU-[\w-]+)(?:\/|$)/.exec(name)?.[1];
  if (old !== undefined) return ({ uuid }) => uuid === old;
  if (name.startsWith('MIG-')) {
    const of = [...slices].find(([slice]) => slice.startsWith(name))?.[1];
    return ({ uuid }) => uuid === of;
  }
  return ({ uuid }) => name.startsWith('GPU-') && uuid.startsWith(name);
}
