import { formatBytes, plural } from '../util/text.js';
import { type Check, fails, fine, warn } from './doctor-check.js';

/** What nvidia-smi says of one GPU. */
export interface Gpu {
  readonly name: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
  /** Memory errors since the last reboot that could not be corrected; undefined: it does not count them. */
  readonly uncorrected?: number;
}

/** What is there to train on, and to launch with. */
export interface EngineFacts {
  readonly gpus:
    | { readonly type: 'none' }
    | { readonly type: 'found'; readonly driver: string; readonly list: readonly Gpu[] }
    /** `devices`: /dev/nvidiactl is there. */
    | { readonly type: 'fails'; readonly why: string; readonly devices: boolean }
    | { readonly type: 'no-tool' };
  readonly torchrun?: string;
  readonly slurm?: {
    readonly version?: string;
    /** Of srun, sbatch, sacct and scontrol. */
    readonly missing: readonly string[];
    /** SLURM_JOB_ID. */
    readonly job?: string;
  };
  readonly ray?: { readonly version?: string; readonly address?: string; readonly hasToken: boolean };
}

/** A GPU of which so much is taken is another's. */
const mostTaken = 0.2;

/** What each engine would need, and whether the GPUs answer. Pure. */
export function judgeEngines({ gpus, torchrun, slurm, ray }: EngineFacts): readonly Check[] {
  return [
    ...gpusOf(gpus),
    fine('engine local', 'needs nothing more'),
    ...(torchrun === undefined ? [] : [fine('torchrun', `${torchrun}: leave --max-restarts at 0, so that one budget counts`)]), // prettier-ignore
    ...slurmOf(slurm),
    ...rayOf(ray),
  ];
}

function gpusOf(gpus: EngineFacts['gpus']): readonly Check[] {
  switch (gpus.type) {
    case 'none':
      return [fine('gpu', 'no NVIDIA GPU here')];
    case 'no-tool':
      return [warn('gpu', 'there is an NVIDIA GPU, but no nvidia-smi', 'put it into PATH: before a retry it says whether the GPU’s memory is free again')]; // prettier-ignore
    case 'fails': {
      const text = `nvidia-smi does not answer: ${gpus.why}`;
      if (!gpus.devices) return [warn('gpu', text, 'no driver is loaded here: a training on the CPU is not concerned')]; // prettier-ignore
      return [fails('gpu', text, 'reboot, or load the driver that matches its library (after an upgrade)')];
    }
    case 'found': {
      const found = gpus.list.flatMap(troubleOf);
      const names = [...new Set(gpus.list.map(({ name }) => name))].join(', ');
      const total = `${plural(gpus.list.length, 'GPU')} (${names}), driver ${gpus.driver}`;
      return [fine('gpu', total), ...found];
    }
  }
}

function troubleOf(gpu: Gpu, index: number): readonly Check[] {
  const found: Check[] = [];
  if (gpu.usedBytes > mostTaken * gpu.totalBytes)
    found.push(warn('gpu', `of GPU ${index} ${formatBytes(gpu.usedBytes)} of ${formatBytes(gpu.totalBytes)} are taken already`, 'see who has it with nvidia-smi')); // prettier-ignore
  if ((gpu.uncorrected ?? 0) > 0)
    found.push(warn('gpu', `GPU ${index} counts ${plural(gpu.uncorrected ?? 0, 'memory error')} that could not be corrected`, 'reset or drain it before a long run')); // prettier-ignore
  return found;
}

function slurmOf(slurm: EngineFacts['slurm']): readonly Check[] {
  if (!slurm) return [];
  const { version, missing, job } = slurm;
  const what = `${version ?? 'Slurm'}${job === undefined ? '' : `, inside job ${job}`}`;
  if (missing.length > 0)
    return [
      warn('engine slurm', `${what}: ${missing.join(', ')} not in PATH`, 'load the cluster’s slurm module'),
    ];
  if (job === undefined) return [fine('engine slurm', `${what}: srun, sbatch, sacct and scontrol are there`)];
  return [
    fine(
      'engine slurm',
      `${what}: what it takes away is taken as a preemption (exit 75)`,
      'ask for a warning and another turn: #SBATCH --signal=B:USR1@120 --requeue --open-mode=append',
    ),
  ];
}

function rayOf(ray: EngineFacts['ray']): readonly Check[] {
  if (!ray) return [];
  const { version, address, hasToken } = ray;
  const at =
    address === undefined
      ? 'no address (RAY_ADDRESS, port 8265 of the head node)'
      : `${address}${hasToken ? ', with a token' : ''}`;
  return [fine('engine ray', `${version ?? 'ray'}: ${at}`)];
}
