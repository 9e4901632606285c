import type { Exit } from '../../failure/types.js';
import { readLiving, readProcText, type ProcId } from '../../util/os/proc.js';
import { writesUnder } from '../../util/os/proc-fd.js';
import { catchesSignal, sendSignal } from '../../util/os/signals.js';
import type { Job } from './job.js';
import { createKiller } from './kill.js';
import { passWarningOn } from './preempt.js';
import { passOnAfterMs, passOnPastShells } from './wrapper.js';

/**
 * Waits for the main process to end, and makes it end when ordered: the stop signal to it alone, since a save must
 * not be cut by dying data-loader workers; after the grace SIGKILL for all, again and again until it is gone.
 */
export async function untilMainEnds(job: Job): Promise<Exit> {
  const { orders, clock, main } = job;
  const killer = createKiller(job);
  let dumped = false;
  let aborted = false;
  let held: { readonly signal: string; quietLooks: number } | undefined;
  let passOn: { readonly signal: string; readonly atMono: number } | undefined;
  for (;;) {
    const exit = job.exit();
    if (exit) return exit;
    if (orders.dumpStacks && !dumped) {
      dumped = true;
      await dumpStacks(job); // before any signal: it should show where the process hangs, not how it dies
      continue;
    }
    if (orders.warning) {
      await passWarningOn(job, orders.warning);
      continue;
    }
    const ordered = orders.takeSignal();
    if (ordered !== undefined) held = { signal: ordered, quietLooks: looksBetweenFiles };
    if (orders.given) job.ours.scan(); // remembers who descends from it, before they lose their parent
    if (held) held.quietLooks = savesUnguarded(job, held.signal) ? 0 : held.quietLooks + 1;
    if (held && held.quietLooks > looksBetweenFiles) {
      const { signal } = held;
      held = undefined;
      if (orders.dumpStacks && !aborted && printsBeforeItEnds(job, signal)) {
        aborted = true;
        await abortForStacks(job, [main]);
      }
      sendWithCont(job, signal);
      const graceMs = orders.killAt - clock.mono();
      passOn = { signal, atMono: clock.mono() + passOnAfterMs(signal, graceMs) };
    }
    if (passOn && clock.mono() >= passOn.atMono) {
      passOnPastShells(main, passOn.signal);
      passOn = undefined;
    }
    const leftMs = orders.killAt - clock.mono();
    if (leftMs > 0) {
      await orders.wait(
        held ? Math.min(leftMs, saveLookMs) : orders.given ? Math.min(leftMs, lookMs) : leftMs,
      );
    } else if (orders.dumpStacks && !aborted && orders.killAt !== -Infinity) {
      aborted = true;
      const others = job.ours.scan().filter(({ pid }) => pid !== main.pid && hasFaulthandler(pid));
      await abortForStacks(job, [main, ...others.sort((a, b) => a.startTime - b.startTime)]);
    } else {
      killer.strike(job.ours.scan().filter((info) => info.pid !== main.session)); // the shim has the status to write
      await orders.wait(killAgainMs);
    }
  }
}

const lookMs = 250;
/** How often a save is looked at, ms, and how many looks without an open file make it over: it may be of several files. */
const saveLookMs = 50;
const looksBetweenFiles = 3;
const killAgainMs = 50;
/** How long what SIGABRT prints may take for all, and how often it is looked whether a process is done, ms. */
const abortMs = 2000;
const abortLookMs = 20;
const dumpLookMs = 250;

/**
 * Whether a process that the stop signal would simply end is in the middle of a save: the signal waits for it, within the
 * grace. Who catches the signal is asked at once, and decides by itself.
 */
function savesUnguarded({ ours, checkpointDirs }: Job, signal: string): boolean {
  if (checkpointDirs.length === 0) return false;
  return ours
    .scan()
    .some(({ pid }) => writesUnder(pid, checkpointDirs) && catchesSignal(pid, signal) === false);
}

/** A stopped process (state T) gets a signal only once it goes on. */
function sendWithCont({ main }: Job, signal: string): void {
  sendSignal(main, signal);
  if (readLiving(main)?.state === 'T') sendSignal(main, 'SIGCONT');
}

/** Has the stacks written down; who is to be killed at once, or has ended, is not held up by it. */
async function dumpStacks({ orders, exit, stacks, clock }: Job): Promise<void> {
  const begunMono = clock.mono();
  const dump = { done: false };
  void stacks.dump().then(() => {
    dump.done = true;
    orders.wake();
  });
  while (!dump.done && !exit() && orders.killAt !== -Infinity) await orders.wait(dumpLookMs);
  orders.putOff(clock.mono() - begunMono);
}

/**
 * Whether SIGABRT is as good a stop signal: this one would simply end the process, as SIGABRT does, but for the stacks that
 * faulthandler prints first, and nothing else told them.
 */
const printsBeforeItEnds = ({ main, stacks }: Job, signal: string): boolean =>
  stacks.summary?.by !== 'py-spy' && hasFaulthandler(main.pid) && catchesSignal(main.pid, signal) === false;

/**
 * Some runtimes print every thread's stack on SIGABRT (Python with faulthandler). One process after the other gets it, so
 * that what they print does not run together; parents come first, since a child that dies makes its parent do
 * something else.
 */
async function abortForStacks(job: Job, targets: readonly ProcId[]): Promise<void> {
  const { stacks, orders, clock } = job;
  const from = await stacks.printedTo();
  const until = clock.mono() + abortMs;
  for (const target of targets) {
    if (clock.mono() >= until || orders.killAt === -Infinity) break;
    if (!(await leaveNoCore(job, target))) continue;
    sendSignal(target, 'SIGABRT');
    while (readLiving(target) && clock.mono() < until && orders.killAt !== -Infinity)
      await orders.wait(Math.min(abortLookMs, until - clock.mono()));
  }
  await stacks.keepPrinted(from);
}

/** Whether Python's faulthandler.enable() was called in a process: it catches these five, and hardly anything else does. */
const hasFaulthandler = (pid: number): boolean =>
  ['SIGSEGV', 'SIGFPE', 'SIGABRT', 'SIGBUS', 'SIGILL'].every((signal) => catchesSignal(pid, signal) === true);

/** Without a core dump: the memory of a training would fill the disk. */
async function leaveNoCore({ spawner }: Job, { pid }: ProcId): Promise<boolean> {
  const limit = /^Max core file size\s+(\S+)/m.exec(readProcText(`/proc/${pid}/limits`) ?? '')?.[1];
  return limit === '0' || (await spawner.run('prlimit', [`--pid=${pid}`, '--core=0:0'])).ok;
}
