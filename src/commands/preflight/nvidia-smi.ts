import { type ChildEnd, endWords, lastWords, runChild } from '../children.js';

/** One GPU as nvidia-smi lists it. */
export interface Gpu {
  readonly index: number;
  readonly uuid: string;
  /** undefined: not supported here. */
  readonly usedMiB?: number;
  readonly totalMiB?: number;
  /** What it says instead of a figure: `[GPU is lost]`, `[Unknown Error]`, `ERR!`. */
  readonly trouble?: string;
}

/** A process that computes on a GPU. */
export interface GpuApp {
  readonly uuid: string;
  readonly pid: number;
  readonly usedMiB?: number;
  readonly program: string;
}

export interface GpuReading {
  readonly gpus: readonly Gpu[];
  readonly apps: readonly GpuApp[];
  /** UUIDs of MIG slices, and whose they are; read only where asked for. */
  readonly slices: ReadonlyMap<string, string>;
  /** Why it could not say all, in its own words. */
  readonly trouble?: string;
}

/** How long nvidia-smi may take, ms: with a broken driver it never ends. */
const limitMs = 10_000;

/**
 * Asks nvidia-smi; undefined: there is none here.
 * @param env of the worker, whose PATH counts
 */
export async function readGpus(
  where: {
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
  withSlices: boolean,
): Promise<GpuReading | undefined> {
  const ask = (...flags: readonly string[]): Promise<ChildEnd> =>
    runChild({ ...where, argv: ['nvidia-smi', ...flags], timeoutMs: limitMs });
  const asCsv = '--format=csv,noheader,nounits';
  const gpus = await ask('--query-gpu=index,uuid,memory.used,memory.total', asCsv);
  if (gpus.type === 'not-started') return undefined;
  const listed = parseGpus(gpus.output);
  const isWell = gpus.type === 'exited' && gpus.code === 0 && listed.others.length === 0;
  const trouble = isWell ? undefined : (listed.others[0] ?? lastWords(gpus) ?? endWords(gpus));
  const apps = isWell
    ? await ask('--query-compute-apps=gpu_uuid,pid,used_memory,process_name', asCsv)
    : undefined;
  const slices = isWell && withSlices ? await ask('-L') : undefined;
  return {
    gpus: listed.gpus,
    apps: parseApps(apps?.output ?? ''),
    slices: parseSlices(slices?.output ?? ''),
    ...(trouble !== undefined && { trouble }),
  };
}

/** Reads `index, uuid, memory.used, memory.total`; what is no such line is what nvidia-smi says of its troubles. */
export function parseGpus(csv: string): {
  readonly gpus: readonly Gpu[];
  readonly others: readonly string[];
} {
  const gpus: Gpu[] = [];
  const others: string[] = [];
  for (const line of linesOf(csv)) {
    const match = /^(\d+), *(GPU-[\w-]+|\[.*?\]|ERR!), *([^,]*), *([^,]*)$/.exec(line);
    if (!match) {
      others.push(line);
      continue;
    }
    const [, index = '', uuid = '', ...figures] = match;
    const [usedMiB, totalMiB] = figures.map(figure);
    const trouble = [uuid, ...figures].find((text) => /^\[(?!N\/A|Not Supported)|^ERR!/.test(text));
    gpus.push({
      ...{ index: Number(index), uuid },
      ...(usedMiB !== undefined && { usedMiB }),
      ...(totalMiB !== undefined && { totalMiB }),
      ...(trouble !== undefined && { trouble }),
    });
  }
  return { gpus, others };
}

/** Reads `gpu_uuid, pid, used_memory, process_name`; a name may hold commas. */
export function parseApps(csv: string): readonly GpuApp[] {
  return linesOf(csv).flatMap((line) => {
    const match = /^([A-Z]+-[\w/-]+), *(\d+), *([^,]*), *(.*)$/.exec(line);
    if (!match) return [];
    const [, uuid = '', pid = '', used = '', program = ''] = match;
    const usedMiB = figure(used);
    return [{ uuid, pid: Number(pid), program, ...(usedMiB !== undefined && { usedMiB }) }];
  });
}

/** Reads `nvidia-smi -L`: each MIG device stands indented under its GPU. */
export function parseSlices(text: string): ReadonlyMap<string, string> {
  const slices = new Map<string, string>();
  let gpu = '';
  for (const line of text.split('\n')) {
    const uuid = /\(UUID: ([\w/-]+)\)/.exec(line)?.[1];
    if (uuid === undefined) continue;
    if (uuid.startsWith('MIG-')) slices.set(uuid, gpu);
    else gpu = uuid;
  }
  return slices;
}

const figure = (text: string): number | undefined => (/^\d+$/.test(text.trim()) ? Number(text) : undefined);

const linesOf = (text: string): readonly string[] =>
  text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
