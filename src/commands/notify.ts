import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { defaults } from '../config/defaults.js';
import { type Notification, notificationOf, type NotifyFacts } from '../report/notify.js';
import type { Happening } from '../supervisor/parts.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { endWords, runChild } from './children.js';
import { openChildrenLog } from './children-log.js';
import { saying } from './hooks.js';
import type { NotifyTarget } from './notify-target.js';
import { withoutOwnWords } from './worker-env.js';

/** Tells people far from the run. Never waited for while the run lasts, and what fails ends nothing. */
export interface Notifier {
  /** Sends what is worth it of a happening, and returns at once. */
  tell(happening: Happening): void;
  /** What is under way gets so long, ms; then it is broken off. */
  close(patienceMs: number): Promise<void>;
}

export interface NotifierOptions {
  readonly targets: readonly NotifyTarget[];
  readonly facts: NotifyFacts & { readonly cwd: string };
  /** How long after each vain try a URL is tried again, ms. */
  readonly retryAfterMs?: readonly number[];
  /** How long a URL's answer is waited for, ms. */
  readonly answerMs?: number;
  readonly notice: (text: string) => void;
}

/** What came of one try; `final`: another would be in vain. */
type Tried = { readonly ok: true } | { readonly ok: false; readonly why: string; readonly final: boolean };

export function createNotifier({
  targets,
  facts: { cwd, ...facts },
  retryAfterMs = [1000, 5000],
  answerMs = 10_000,
  notice,
}: NotifierOptions): Notifier {
  const log = openChildrenLog(path.join(facts.runDir, 'notify.log'));
  const over = new AbortController();
  const broken = new Set<NotifyTarget>();
  /** What was sent to each before: one message goes after the other. */
  const underWay = new Map<NotifyTarget, Promise<void>>();

  const tryOnce = (target: NotifyTarget, notification: Notification): Promise<Tried> =>
    target.type === 'url'
      ? post(target, JSON.stringify(notification), answerMs, over.signal)
      : call(target, notification);

  async function call(
    { argv, shown }: Extract<NotifyTarget, { type: 'command' }>,
    notification: Notification,
  ): Promise<Tried> {
    const end = await runChild({
      argv,
      cwd,
      env: { ...withoutOwnWords(process.env), TRAINGUARD_HOOK: 'notify', TRAINGUARD_RUN: facts.run },
      input: `${JSON.stringify(notification)}\n`,
      timeoutMs: defaults.commandTimeoutMs,
      signal: over.signal,
    });
    log.add(`notify ${notification.event}`, [shown], end);
    if (end.type === 'exited' && end.code === 0) return { ok: true };
    return { ok: false, why: `${endWords(end)}${saying(end)}`, final: true };
  }

  async function deliver(target: NotifyTarget, notification: Notification): Promise<void> {
    let tried = await tryOnce(target, notification);
    for (const waitMs of retryAfterMs) {
      if (tried.ok || tried.final || !(await pause(waitMs, over.signal))) break;
      tried = await tryOnce(target, notification);
    }
    if (tried.ok || broken.has(target)) return;
    broken.add(target);
    notice(`${target.shown} could not be notified: ${tried.why}`);
  }

  return {
    tell(happening) {
      const notification = targets.length === 0 ? undefined : notificationOf(facts, happening);
      if (!notification || over.signal.aborted) return;
      for (const target of targets) {
        const before = underWay.get(target) ?? Promise.resolve();
        underWay.set(
          target,
          before.then(() => deliver(target, notification)),
        );
      }
    },
    async close(patienceMs) {
      const timer = setTimeout(() => over.abort(), patienceMs);
      await Promise.all(underWay.values());
      clearTimeout(timer);
      log.close();
    },
  };
}

/** A redirect is not followed: it could lead the message, and what lets it in, to another host. */
async function post(
  { url, authorization }: Extract<NotifyTarget, { type: 'url' }>,
  body: string,
  answerMs: number,
  signal: AbortSignal,
): Promise<Tried> {
  try {
    const {
      status,
      headers,
      body: answer,
    } = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'trainguard',
        ...(authorization !== undefined && { authorization }),
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    });
    await answer?.cancel();
    if (status >= 200 && status < 300) return { ok: true };
    const to = status >= 300 && status < 400 ? headers.get('location') : null;
    const why =
      to === null
        ? `it answers ${status}`
        : `it answers ${status} and leads elsewhere; give the address itself`;
    // others may change their mind: 408 and 429 ask for another try, and so does a server in trouble
    return { ok: false, why, final: status < 500 && status !== 408 && status !== 429 };
  } catch (error) {
    if (signal.aborted) return { ok: false, why: 'no answer before the run ended', final: true };
    if (error instanceof Error && error.name === 'TimeoutError') {
      return { ok: false, why: `no answer within ${answerMs / 1000} s`, final: false };
    }
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    // the system's own text may hold the address
    return { ok: false, why: errorCode(cause) ?? errorText(cause), final: false };
  }
}

/** @returns whether it passed, and was not broken off */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { signal });
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
