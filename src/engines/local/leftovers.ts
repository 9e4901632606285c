import type { Exit } from '../../failure/types.js';
import { writesUnder } from '../../util/os/proc-fd.js';
import { readProcText, type ProcInfo } from '../../util/os/proc.js';
import { sendSignal } from '../../util/os/signals.js';
import { formatDuration } from '../../util/duration.js';
import { plural } from '../../util/text.js';
import type { Job } from './job.js';
import { createKiller } from './kill.js';
import { judgeLeftover, type EndCause } from './leftover-rule.js';

/** Brings what is left of an attempt to its end once the main process has ended. Two scans in a row must find none. */
export async function clearLeftovers(job: Job, exit: Exit): Promise<void> {
  const { orders, clock, events, graceMs } = job;
  const killer = createKiller(job);
  const begunMono = clock.mono();
  const idleSince = new Map<number, number>(); // since when a process writes no checkpoint
  const termed = new Set<number>();
  let named = false;
  for (let clean = 0, pauseMs = firstPauseMs; clean < 2; pauseMs = Math.min(lastPauseMs, pauseMs * 2)) {
    const left = job.ours.scan();
    if (left.length === 0) {
      clean++; // the second look comes at once: it is for what was being forked during the first
      continue;
    }
    clean = 0;
    if (orders.warning) orders.stop({ ...orders.warning, preempted: false }); // too late to warn anybody
    const cause = causeOf(job, exit);
    const nowMono = clock.mono();
    if (cause === 'success' && !named && nowMono - begunMono >= nameAfterMs) {
      named = true;
      events.notice(`${describe(left)} after the command ended; given ${formatDuration(graceMs)} to finish`);
    }
    const doomed = left.filter((info) => {
      const writing = cause === 'crash' && writesUnder(info.pid, job.checkpointDirs);
      if (writing) idleSince.delete(info.pid);
      else if (!idleSince.has(info.pid)) idleSince.set(info.pid, nowMono);
      const idle = idleSince.get(info.pid);
      const rule = { cause, begunMono, nowMono, graceMs, killAtMono: orders.killAt };
      const verdict = judgeLeftover(rule, idle);
      if (verdict === 'term' && !termed.has(info.pid)) {
        termed.add(info.pid);
        sendSignal(info, 'SIGTERM');
        sendSignal(info, 'SIGCONT');
      }
      return verdict === 'kill';
    });
    killer.strike(doomed);
    await orders.wait(pauseMs);
  }
}

const firstPauseMs = 2;
const lastPauseMs = 100;
/** Helpers that end a moment after their parent (multiprocessing's resource tracker) are not worth a word, ms. */
const nameAfterMs = 1000;

function causeOf({ orders }: Job, exit: Exit): EndCause {
  if (orders.given) return 'order';
  return exit.type === 'code' && exit.code === 0 ? 'success' : 'crash';
}

function describe(left: readonly ProcInfo[]): string {
  const names = left.slice(0, 5).map(({ pid, comm }) => {
    const command = readProcText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim();
    return `${pid} (${(command === undefined || command === '' ? comm : command).slice(0, 80)})`;
  });
  const more = left.length > names.length ? ' and more' : '';
  return `${plural(left.length, 'process goes', 'processes go')} on: ${names.join(', ')}${more}`;
}
