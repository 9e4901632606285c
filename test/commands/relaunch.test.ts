import assert from 'node:assert/strict';
import { test } from 'node:test';
import { envOfRelaunch } from '../../src/commands/relaunch.js';

test('a relaunch has the environment of then, but is in the job and the pod of now', () => {
  const recorded = { A: 'then', SLURM_JOB_ID: '1', SLURM_NODELIST: 'x', CUDA_VISIBLE_DEVICES: '0' };
  const here = { A: 'now', B: 'now', KUBERNETES_SERVICE_HOST: 'pod' };
  assert.deepEqual(envOfRelaunch(recorded, here), { A: 'then', KUBERNETES_SERVICE_HOST: 'pod' });
  const job = { SLURM_JOB_ID: '2', CUDA_VISIBLE_DEVICES: '3' };
  assert.deepEqual(envOfRelaunch(recorded, job), { A: 'then', ...job });
});

test('outside of Slurm the GPUs are those that were chosen then', () => {
  const env = envOfRelaunch({ CUDA_VISIBLE_DEVICES: '1' }, { CUDA_VISIBLE_DEVICES: '2' });
  assert.deepEqual(env, { CUDA_VISIBLE_DEVICES: '1' });
});
