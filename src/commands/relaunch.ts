import path from 'node:path';
import { fail, ok, exitStatus, type Result } from '../util/result.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { restoreLimits } from '../util/os/limits.js';
import { type LaunchFlags, type LaunchRecord, readLaunch } from '../runs/launch-record.js';
import type { Run } from '../runs/run-dir.js';

/** How the run was launched; none on record is a Problem. */
export async function launchOf(run: Run): Promise<Result<LaunchRecord>> {
  const record = await readLaunch(run.paths.launch);
  if (!record.ok || record.value) return record as Result<LaunchRecord>;
  return fail(
    `it is not on record how run ${run.name} was launched (${run.paths.launch} is missing); ` +
      `start it with its command: trainguard run --name ${quoted(run.name)} -- <command>`,
    exitStatus.config,
  );
}

const quoted = (name: string): string => (/^[\w.-]+$/.test(name) ? name : `'${name}'`);

/**
 * Puts this process where the run was launched: working directory, umask, limits, environment. The shell that asks for
 * it leaves no trace; the job or the pod that it runs in does, since that is where the training will be.
 * @returns what could not be had again, in words
 */
export function relive(record: LaunchRecord): Result<readonly string[]> {
  try {
    process.chdir(record.cwd);
  } catch (error) {
    return fail(
      `the folder ${record.cwd} that the run was launched in cannot be entered (${errorText(error)}); ` +
        'bring it back, or start the run with its command from another folder',
      exitStatus.config,
      errorCode(error),
    );
  }
  // first the limits: prlimit is looked for on the PATH of whoever resumes
  const troubles = restoreLimits(record.limits);
  const env = envOfRelaunch(record.env, process.env);
  for (const name of Object.keys(process.env))
    if (!Object.hasOwn(env, name)) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, env);
  if (record.umask !== undefined) process.umask(record.umask);
  return ok(troubles);
}

/** Said by the job or the pod that a process runs in. */
const ofPlace = /^(SLURM|KUBERNETES_)/;
/** Chosen by whoever launches, unless Slurm sets them for the GPUs of a job. */
const ofJob = /^(CUDA_VISIBLE_DEVICES|ROCR_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL)$/;

/**
 * The environment that was recorded, but for what says which job or pod this is and what of its host is ours: what
 * was true of the job of then would have a TERM mistaken, and another's GPUs used.
 */
export function envOfRelaunch(recorded: NodeJS.ProcessEnv, present: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const inJob = [recorded, present].some((env) => env['SLURM_JOB_ID'] !== undefined);
  const isPresent = (name: string): boolean => ofPlace.test(name) || (inJob && ofJob.test(name));
  return Object.fromEntries([
    ...Object.entries(recorded).filter(([name]) => !isPresent(name)),
    ...Object.entries(present).filter(([name]) => isPresent(name)),
  ]);
}

/** What the flags of a `run` say of it, for launch.json. Flags that say how it is shown, or on what terms, are not of it. */
export function flagsToRecord(options: LaunchFlags, configFile: string | undefined): LaunchFlags {
  const { checkpointDir, layout, resumeArgs, maxRetries, backoffInitial, backoffMax } = options;
  const { heartbeatTimeout, startupTimeout, stopGrace, rollback, vault, notify, serve, stdin, allowScratch } =
    options;
  return withoutUndefined({
    ...{ config: configFile, checkpointDir, layout, resumeArgs, maxRetries, backoffInitial, backoffMax },
    ...{ heartbeatTimeout, startupTimeout, stopGrace, vault, notify, serve, stdin, allowScratch },
    rollback: rollback === false ? false : undefined,
  });
}

/** The flags given here, whose paths mean the same from any other folder. */
export function absoluteFlags(options: LaunchFlags): LaunchFlags {
  const { config, checkpointDir, vault } = options;
  return flagsToRecord(
    withoutUndefined({
      ...options,
      checkpointDir: checkpointDir?.map((dir) => (isUrl(dir) ? dir : path.resolve(dir))),
      vault: vault === undefined ? undefined : path.resolve(vault),
    }),
    config === undefined ? undefined : path.resolve(config),
  );
}

const isUrl = (name: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(name);

/** The same without keys that are there but undefined. */
const withoutUndefined = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
