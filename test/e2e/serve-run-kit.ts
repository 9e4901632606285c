import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.js';
import { type Puppet, PuppetStage } from '../support/puppet.js';
import type { Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { guard, statusOf } from './kit.js';

/** A run whose workers report by HTTP, and the process of its first attempt. */
export interface Play {
  readonly stage: PuppetStage;
  readonly cwd: string;
  readonly run: Running;
  readonly worker: Puppet;
}

export async function onStage(
  t: TestContext,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Play> {
  const stage = await PuppetStage.create(t);
  const cwd = tempDir(t);
  const run = guard(t, stage.command, { cwd, flags: ['--name', 'play', '--serve', ...flags], env });
  const worker = await stage.next();
  await run.untilStdout(/"type":"launched"/);
  return { stage, cwd, run, worker };
}

/** The server that a worker's environment names. */
export function serverOf({ hello }: Puppet): { readonly url: string; readonly token: string } {
  const { TRAINGUARD_URL: url, TRAINGUARD_TOKEN_FILE: tokenFile } = hello.env;
  assert.ok(url !== undefined && tokenFile !== undefined);
  return { url, token: readFileSync(tokenFile, 'utf8').trim() };
}

/** Calls the server that a worker's environment names. */
export async function call(
  worker: Puppet,
  method: string,
  path: string,
  body?: unknown,
  more: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const { url, token } = serverOf(worker);
  const headers = { authorization: `Bearer ${token}`, ...more };
  if (body === undefined) return fetch(`${url}${path}`, { method, headers });
  const json = { ...headers, 'content-type': 'application/json' };
  return fetch(`${url}${path}`, { method, headers: json, body: JSON.stringify(body) });
}

export async function register(worker: Puppet, id: string, limits: object = {}): Promise<Response> {
  const answer = await call(worker, 'PUT', `/v1/workers/${id}`, limits);
  assert.ok(answer.ok, await answer.clone().text());
  return answer;
}

export async function beat(worker: Puppet, id: string, state: object): Promise<unknown> {
  const answer = await call(worker, 'POST', `/v1/workers/${id}/heartbeat`, state);
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

export const stepIs = (t: TestContext, { cwd }: Play, step: number): Promise<unknown> =>
  eventually(async () => (await statusOf(t, cwd, 'play')).step === step, `step ${step} in status`);

export const metrics = ({ cwd }: Play): readonly { heartbeat: Record<string, unknown> }[] =>
  readFileSync(`${cwd}/.trainguard/runs/play/metrics.jsonl`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { heartbeat: Record<string, unknown> });
