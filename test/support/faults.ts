import type { FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { files } from '../../src/util/os/durable.js';

/**
 * What may become of a change to the disk. `ENOSPC`, `EIO`, `EACCES`, `EXDEV`, `EROFS`: that one call fails. `short write`: it takes half
 * and says so. `disk full`, `disk read-only`: so it stays from that call on. `crash …`: from there on nothing more
 * reaches the disk.
 */
export const faults = [
  'ENOSPC',
  'EIO',
  'EACCES',
  'EXDEV',
  'EROFS',
  'short write',
  'disk full',
  'disk read-only',
  'crash before',
  'crash amid',
  'crash after',
] as const;
export type Fault = (typeof faults)[number];

export interface Outcome<T> {
  /** The call that the fault hit. */
  readonly hit: string | undefined;
  readonly crashed: boolean;
  /** What the work came to; a crash leaves neither. */
  readonly value?: T;
  readonly error?: unknown;
}

class Crash extends Error {}

/** Changes made through a handle. */
const byHandle = new Set<PropertyKey>(['write', 'truncate', 'sync', 'datasync', 'utimes', 'chmod']);
/** What needs room on the disk. */
const needsRoom = new Set(['open', 'write', 'mkdir', 'rename', 'link', 'symlink', 'copyFile']);
/** What goes from one place to another, which may lie on another device. */
const betweenPlaces = new Set(['rename', 'link', 'copyFile']);

type Call = (...args: unknown[]) => Promise<unknown>;

/** What is to go wrong, and what was asked for so far. */
interface Plan {
  readonly nth: number;
  readonly fault: Fault;
  readonly calls: string[];
  hit: string | undefined;
  crashed: boolean;
}

/** Whether a fault can hit such a call. */
function canHit(fault: Fault, name: string): boolean {
  if (fault === 'short write' || fault === 'crash amid') return name === 'write';
  if (fault === 'EXDEV') return betweenPlaces.has(name);
  return fault !== 'disk full' || needsRoom.has(name);
}

async function change(plan: Plan, name: string, real: Call, args: unknown[]): Promise<unknown> {
  if (plan.crashed) throw new Crash();
  const number = plan.calls.push(name);
  const { nth, fault } = plan;
  const due = number === nth || (number > nth && fault.startsWith('disk'));
  const half = name === 'write' ? halfOf(args) : args;
  if (!due || !canHit(fault, name)) return await real(...args);
  plan.hit ??= name;
  switch (fault) {
    case 'ENOSPC':
    case 'EIO':
    case 'EACCES':
    case 'EXDEV':
    case 'EROFS':
      throw failure(fault, name);
    case 'disk read-only':
      throw failure('EROFS', name);
    case 'disk full':
      if (name === 'write' && number === nth) return await real(...half);
      throw failure('ENOSPC', name);
    case 'short write':
      return await real(...half);
    case 'crash amid':
      await real(...half);
      break;
    case 'crash after': {
      const made = await real(...args);
      if (name === 'open') await (made as FileHandle).close(); // nobody else will
      break;
    }
    case 'crash before':
  }
  plan.crashed = true;
  throw new Crash();
}

const failure = (code: string, name: string): Error =>
  Object.assign(new Error(`${code}: ${name} was made to fail`), { code });

const creates = (flags: unknown): boolean =>
  typeof flags === 'number'
    ? (flags & (constants.O_CREAT | constants.O_TRUNC)) !== 0
    : /^[wa]/.test(String(flags));

/** The arguments of a write of the first half, as (buffer, offset, length, position). */
function halfOf([bytes, offset = 0, length, position]: unknown[]): unknown[] {
  const whole = typeof length === 'number' ? length : (bytes as Uint8Array).length;
  return [bytes, offset, Math.ceil(whole / 2), position];
}

/** Calls `act` before each change to the disk, with its number from 1 on: to end the process there. */
export function beforeEachChange(act: (nth: number, name: string) => void): void {
  let changes = 0;
  watch((name, call, args) => {
    act(++changes, name);
    return call(...args);
  });
}

/** Has every change to the disk go by `change`. @returns what ends that */
function watch(change: (name: string, call: Call, args: unknown[]) => Promise<unknown>): () => void {
  const by =
    (name: string, call: Call): Call =>
    (...args) =>
      change(name, call, args);
  const watched = (handle: FileHandle): FileHandle =>
    new Proxy(handle, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== 'function') return member;
        const call = member.bind(target) as Call;
        return byHandle.has(key) ? by(String(key), call) : call;
      },
    });
  const real = { ...files };
  for (const name of Object.keys(real) as (keyof typeof real)[]) {
    const call = real[name] as Call;
    const changing = by(name, call);
    const open: Call = async (...args) =>
      watched((await (creates(args[1]) ? changing(...args) : call(...args))) as FileHandle);
    Object.assign(files, { [name]: name === 'open' ? open : changing });
  }
  return () => Object.assign(files, real);
}

/** One change to the disk that went wrong, and what came of it. */
export interface Case<S, T> extends Outcome<T> {
  readonly stage: S;
  readonly fault: Fault;
  /** For messages: `EIO at 3 (rename)`. */
  readonly name: string;
}

/**
 * Has each change to the disk that `work` makes go wrong in each way, one at a time, each on a stage of its own, and
 * lets `check` look at what is left. The fault is over by then.
 * @param stride only every so manieth change, another one for each fault; 1: all of them
 * @param varies what goes on at the same time makes a few changes more or fewer: one that does not come is passed over
 * @returns how many there were
 */
export async function everyFault<S, T>(
  setUp: () => Promise<S>,
  work: (stage: S) => Promise<T>,
  check: (seen: Case<S, T>) => Promise<void>,
  stride = 1,
  varies = false,
): Promise<number> {
  let plan: Plan | undefined;
  const unwatch = watch((name, call, args) => (plan ? change(plan, name, call, args) : call(...args)));
  const play = async (
    stage: S,
    nth: number,
    fault: Fault,
  ): Promise<Outcome<T> & { calls: readonly string[] }> => {
    const now: Plan = { nth, fault, calls: [], hit: undefined, crashed: false };
    plan = now;
    const came = await work(stage).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    plan = undefined;
    const { hit, crashed, calls } = now;
    return { hit, crashed, calls, ...(!crashed && came) };
  };
  try {
    const { calls, error } = await play(await setUp(), Infinity, 'EIO');
    if (error !== undefined) throw new Error('it fails even when nothing goes wrong', { cause: error });
    let cases = 0;
    for (const [number, fault] of faults.entries()) {
      for (const [index, call] of calls.entries()) {
        if (!canHit(fault, call) || (index + number) % stride !== 0) continue;
        const stage = await setUp();
        const name = `${fault} at ${index + 1} (${call})`;
        try {
          const outcome = await play(stage, index + 1, fault);
          if (outcome.hit === undefined && varies) continue;
          if (outcome.hit === undefined) throw new Error('it came not so far');
          await check({ ...outcome, stage, fault, name });
        } catch (seen) {
          throw new Error(`${name}: ${seen instanceof Error ? seen.message : String(seen)}`, { cause: seen });
        }
        cases++;
      }
    }
    return cases;
  } finally {
    unwatch();
  }
}
