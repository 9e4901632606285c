import { readFileSync } from 'node:fs';
import os from 'node:os';

let cached: string | undefined;

/**
 * Names this boot of this host: within it monotonic times and pids with their start times may be compared.
 * Linux: /proc/sys/kernel/random/boot_id. Elsewhere: the boot time to the minute.
 */
export function bootId(): string {
  cached ??= readBootId();
  return cached;
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    // no /proc here (macOS)
    return `boot-${Math.round((Date.now() / 1000 - os.uptime()) / 60)}`;
  }
}

/** From performance.now(), which begins at this process's start, to the clock of the boot: both are the same clock. */
const originMs = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now();

/** Monotonic milliseconds, the same clock for every process of this boot (CLOCK_MONOTONIC). */
export const mono = (): number => originMs + performance.now();
