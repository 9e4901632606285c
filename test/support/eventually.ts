import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 10;

/**
 * Waits for a fact: calls `fn` until it answers something that is neither undefined, null nor false, and answers that.
 * A throw counts as "not yet". After `timeoutMs` it throws, saying what was waited for and what was seen last.
 */
export async function eventually<T>(
  fn: () => T | Promise<T>,
  what: string,
  timeoutMs = 60_000,
): Promise<Exclude<T, undefined | null | false>> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look(fn);
    if (seen.found) return seen.value as Exclude<T, undefined | null | false>;
    if (performance.now() > until) {
      throw new Error(`waited ${timeoutMs} ms in vain for: ${what} (last: ${seen.instead})`);
    }
    await delay(POLL_MS);
  }
}

type Look<T> =
  { readonly found: true; readonly value: T } | { readonly found: false; readonly instead: string };

async function look<T>(fn: () => T | Promise<T>): Promise<Look<T>> {
  try {
    const value = await fn();
    if (value !== undefined && value !== null && value !== false) return { found: true, value };
    return { found: false, instead: String(value) };
  } catch (error) {
    return { found: false, instead: String(error) };
  }
}
