import { existsSync } from 'node:fs';
import type { EngineFacts, Gpu } from '../report/doctor-engines.js';
import { ask, whereIs } from './doctor-tools.js';

/** Looks for GPUs and for what launches trainings. */
export async function engineFacts(env: NodeJS.ProcessEnv): Promise<EngineFacts> {
  const [gpus, slurm, ray] = await Promise.all([gpusHere(), slurmHere(env), rayHere(env)]);
  const torchrun = whereIs('torchrun');
  return {
    gpus,
    ...(torchrun !== undefined && { torchrun }),
    ...(slurm && { slurm }),
    ...(ray && { ray }),
  };
}

const columns = ['name', 'driver_version', 'memory.total', 'memory.used', 'ecc.errors.uncorrected.volatile.total']; // prettier-ignore

async function gpusHere(): Promise<EngineFacts['gpus']> {
  const devices = existsSync('/dev/nvidiactl');
  const tool = whereIs('nvidia-smi');
  if (tool === undefined) return { type: devices ? 'no-tool' : 'none' };
  const { ok, stdout, why } = await ask(tool, `--query-gpu=${columns.join(',')}`, '--format=csv,noheader,nounits'); // prettier-ignore
  if (!ok) return /no devices were found/i.test(why) ? { type: 'none' } : { type: 'fails', why, devices };
  return parseGpus(stdout);
}

/** Reads nvidia-smi's table: one line a GPU, memory in MiB, `[N/A]` for what it does not know. */
export function parseGpus(text: string): EngineFacts['gpus'] {
  let driver = '';
  const list = text.split('\n').flatMap((line): readonly Gpu[] => {
    const [name, version, total, used, uncorrected] = line.split(',').map((cell) => cell.trim());
    if (name === undefined || total === undefined) return [];
    driver = version ?? '';
    const errors = Number(uncorrected);
    const ecc = uncorrected !== undefined && Number.isInteger(errors) && { uncorrected: errors };
    return [{ name, totalBytes: mebibytes(total), usedBytes: mebibytes(used), ...ecc }];
  });
  return list.length === 0 ? { type: 'none' } : { type: 'found', driver, list };
}

/** A GPU cut into parts (MIG) says `[N/A]`: nothing is known to be taken. */
const mebibytes = (cell = ''): number => (/^\d+$/.test(cell) ? Number(cell) * 1024 * 1024 : 0);

async function slurmHere(env: NodeJS.ProcessEnv): Promise<EngineFacts['slurm']> {
  const tools = ['srun', 'sbatch', 'sacct', 'scontrol'];
  const missing = tools.filter((tool) => whereIs(tool) === undefined);
  const job = env['SLURM_JOB_ID'];
  const found = tools.find((tool) => !missing.includes(tool));
  if (found === undefined && job === undefined) return undefined;
  const said = found === undefined ? undefined : await ask(found, '--version');
  return {
    ...(said?.ok && { version: said.stdout.trim() }),
    missing,
    ...(job !== undefined && { job }),
  };
}

async function rayHere(env: NodeJS.ProcessEnv): Promise<EngineFacts['ray']> {
  const tool = whereIs('ray');
  const address = env['RAY_ADDRESS'];
  if (tool === undefined && address === undefined) return undefined;
  const said = tool === undefined ? undefined : await ask(tool, '--version');
  return {
    ...(said?.ok && { version: said.stdout.trim() }),
    ...(address !== undefined && { address }),
    hasToken: env['RAY_AUTH_TOKEN'] !== undefined || env['RAY_AUTH_TOKEN_PATH'] !== undefined,
  };
}
