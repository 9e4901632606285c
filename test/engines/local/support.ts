import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalEngine, type LocalEngineOptions } from '../../../src/engines/local/engine.js';
import type { LocalWorker } from '../../../src/engines/local/worker.js';
import type { LaunchSpec, StopOrder } from '../../../src/supervisor/ports.js';
import { mono } from '../../../src/util/os/boot.js';

/** A folder that is gone after the test. */
export function tempDir(t: TestContext): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'trainguard-engine-'));
  // what was launched in it is killed only after this: `after` calls come in their order
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  return dir;
}

/** Waits until a fact is one; fails with its name after `ms`. */
export async function until<T>(fact: string, look: () => T | undefined | false, ms = 60_000): Promise<T> {
  const end = mono() + ms;
  for (;;) {
    const seen = look();
    if (seen !== undefined && seen !== false) return seen;
    assert.ok(mono() < end, `waited ${ms} ms in vain: ${fact}`);
    await sleep(5);
  }
}

export interface Launched {
  readonly worker: LocalWorker;
  readonly attemptDir: string;
  readonly cwd: string;
  readonly lines: string[];
  readonly notices: string[];
  readonly stuck: (readonly [number, string])[];
  /** The first line that matches, once it is there; its first group if it has one. */
  readonly said: (pattern: RegExp) => Promise<string>;
}

export interface LaunchOptions {
  readonly engine?: Partial<LocalEngineOptions>;
  readonly spec?: Partial<LaunchSpec>;
}

/** Launches a command in a fresh folder; it is killed after the test. */
export async function launch(
  t: TestContext,
  argv: readonly [string, ...string[]],
  options: LaunchOptions = {},
): Promise<Launched> {
  const cwd = tempDir(t);
  const attemptDir = path.join(cwd, 'run', 'attempts', '000');
  const lines: string[] = [];
  const notices: string[] = [];
  const stuck: (readonly [number, string])[] = [];
  const engine = createLocalEngine({ logsKeepAttemptBytes: 2 ** 30, graceMs: 5000, ...options.engine });
  const launched = await engine.launch(
    {
      ...{ attemptDir, attempt: 0, argv, cwd, runId: path.basename(cwd) },
      env: { PATH: process.env['PATH'] ?? '', HOME: os.homedir() },
      stopSignal: 'SIGTERM',
      stdin: 'null',
      ...options.spec,
    },
    {
      line: (text) => lines.push(text),
      notice: (text) => notices.push(text),
      stuck: (pid, wchan) => stuck.push([pid, wchan]),
    },
  );
  assert.ok(launched.ok, launched.ok ? '' : launched.error.message);
  const worker = launched.value;
  t.after(async () => {
    worker.kill();
    await worker.ended;
  });
  return {
    ...{ worker, attemptDir, cwd, lines, notices, stuck },
    said: (pattern) =>
      until(`a line like ${String(pattern)}`, () => {
        for (const line of lines) {
          const match = pattern.exec(line);
          if (match) return match[1] ?? match[0];
        }
        return undefined;
      }),
  };
}

export const order = (graceMs: number, more: Partial<StopOrder> = {}): StopOrder => ({
  ...{ signal: 'SIGTERM', graceMs, dumpStacks: false, preempted: false },
  ...more,
});

/** Whether a process lives (a zombie does not), by another way than the code under test. */
export function lives(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // no such process
  }
}
