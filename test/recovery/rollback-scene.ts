import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { RecursiveTrainingRecovery, type RecoveryContext, type RecursiveRecoveryEvent, type RecursiveTrainingRecoveryConfig } from '../../src/recovery/recursive.js'; // prettier-ignore
import { bytesIn, lay, npz } from '../checkpoints/samples.js';
import { atEnd } from '../support/cleanup.js';
import { tempDir } from '../support/temp-dir.js';

export type Tree = Readonly<Record<string, Buffer | string>>;
export const torn = (seed: number): Buffer => npz(seed).subarray(0, 900);
export const three: Tree = { 'step-10.npz': npz(1), 'step-20.npz': npz(2), 'step-30.npz': torn(3) };

export interface Scene {
  readonly dir: string;
  readonly recovery: RecursiveTrainingRecovery;
  readonly events: RecursiveRecoveryEvent[];
  readonly contexts: RecoveryContext[];
  /** Names in the folder, and whether every byte that was laid is still somewhere. */
  readonly left: () => readonly string[];
}

export function scene(
  t: TestContext,
  tree: Tree,
  more: Partial<RecursiveTrainingRecoveryConfig> = {},
): Scene {
  const parent = tempDir(t);
  const dir = path.join(parent, 'checkpoints');
  mkdirSync(dir);
  lay(dir, tree);
  const events: RecursiveRecoveryEvent[] = [];
  const contexts: RecoveryContext[] = [];
  const recovery = new RecursiveTrainingRecovery({
    ...{ backoff: { initial: 0 }, checkpoints: { dir, vault: path.join(parent, 'vault') } },
    onEvent: (event) => events.push(event),
    retry: (context) => void contexts.push({ ...context }),
    ...more,
  });
  const left = (): readonly string[] => {
    const there = [...bytesIn(parent).values()];
    for (const [name, data] of Object.entries(tree))
      assert.ok(there.some((bytes) => bytes.equals(Buffer.from(data))), `${name} was lost`); // prettier-ignore
    return readdirSync(dir).toSorted();
  };
  return { dir, recovery, events, contexts, left };
}

/** Another process that holds the folder as a supervisor does. */
export async function holder(t: TestContext, dir: string): Promise<() => Promise<void>> {
  const lock = new URL('../../src/util/os/lock.js', import.meta.url).href;
  const script = `
    const { acquireLock } = await import(${JSON.stringify(lock)});
    const [dir, keepIn] = process.argv.slice(1);
    const lock = await acquireLock({ kind: 'checkpoints', run: 'mnist', dir, keepIn });
    console.log(lock.ok ? 'held' : lock.error.message);
    process.stdin.on('end', () => process.exit()).resume();`;
  const vault = path.join(path.dirname(dir), 'vault');
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, dir, vault], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  atEnd(t, () => void child.kill('SIGKILL'));
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  assert.equal(said.toString(), 'held\n');
  return async () => {
    child.stdin.end();
    await exited;
  };
}
