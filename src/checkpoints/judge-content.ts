import fs from 'node:fs/promises';
import path from 'node:path';
import type { Standing } from '../policy/checkpoint.js';
import { isGone } from '../util/os/dir-walk.js';
import { errorCode } from '../util/os/durable.js';
import { formatBytes, plural } from '../util/text.js';
import { sizeOf, type Unit } from './unit.js';
import { isDeep, type VerifyMode } from './verify/depth.js';
import type { UnitVerdict } from './verify/unit.js';

export interface Judgement {
  readonly standing: Standing;
  readonly why: string;
  readonly depth: 'deep' | 'structure' | 'none';
  readonly digests: ReadonlyMap<string, string>;
  /** Whether it holds until the files change; else it is asked again next time. */
  readonly lasting: boolean;
  /** Every byte and every name of it was flushed to disk. */
  readonly synced?: boolean;
}

/** How content is judged in one folder, at every look. */
export interface ContentRules {
  readonly verify: VerifyMode;
  /** Undefined: as fast as it goes. */
  readonly readBytesPerS?: number;
  /** What NaN among the weights means: the training diverged before the save, or it is only told. */
  readonly nonFinite: 'rollback' | 'warn';
}

export interface JudgeOptions extends ContentRules {
  /** Flush to disk what is found good. */
  readonly durable: boolean;
  /** Asked every few milliseconds; once it says no, the structure decides. */
  readonly goOn: () => boolean;
  /** Nobody waits for the answer any more: it is broken off, and judged anew next time. */
  readonly signal?: AbortSignal;
  /** Undefined: not known. */
  readonly saveIntervalMs?: number;
}

/**
 * Judges a complete checkpoint by its content, and makes it durable if it is good.
 * @returns undefined if it vanished meanwhile
 */
export async function judgeContent(
  root: string,
  unit: Unit,
  options: JudgeOptions,
): Promise<Judgement | undefined> {
  // not for a look that verifies nothing
  const { verifyUnit, syncUnit } = await import('./verify/unit.js');
  const plain = unit.files.filter((file) => file.kind === 'file').map((file) => file.path);
  const bytes = sizeOf(unit);
  const files = { root, files: plain, expected: unit.expected, bytes };
  const deep = isDeep({ ...options, mode: options.verify, bytes });
  const goOn = (): boolean => options.signal?.aborted !== true && options.goOn();
  try {
    const verdict = await verifyUnit(files, { ...options, deep, goOn });
    const damage = verdict.damage ?? (await deadLink(root, unit));
    if (damage !== undefined) return judgement(verdict, 'corrupt', damage);
    if (deep && verdict.depth !== 'deep' && options.signal?.aborted === true)
      return { ...unreadable(''), why: 'its verification was broken off' };
    const synced = options.durable && (await syncUnit(files, [...unit.folders, '.']));
    const { nan } = verdict.nonFinite;
    if (nan !== undefined && options.nonFinite === 'rollback')
      return judgement(
        verdict,
        'tainted',
        `tensor ${nan} holds NaN: the training had diverged when it was saved`,
      );
    return { ...judgement(verdict, 'verified', howGood(verdict, unit)), synced };
  } catch (error) {
    const code = errorCode(error);
    if (isGone(error)) return undefined;
    if (code === undefined) throw error;
    return unreadable(code);
  }
}

export const unreadable = (why: string): Judgement => ({
  standing: 'complete',
  why: `it cannot be read (${why})`,
  depth: 'none',
  digests: new Map(),
  lasting: false,
});

const judgement = ({ depth, digests }: UnitVerdict, standing: Standing, why: string): Judgement => ({
  standing,
  why,
  depth,
  digests,
  lasting: true,
});

function howGood({ depth, nonFinite, unproven }: UnitVerdict, unit: Unit): string {
  const others = unit.files.filter((file) => file.kind !== 'file').length;
  return [
    depth === 'deep' ? 'every byte was read' : 'its structure was checked',
    formatBytes(sizeOf(unit)),
    ...(unproven === undefined ? [] : [`but ${unproven}`]),
    ...(nonFinite.nan === undefined ? [] : [`tensor ${nonFinite.nan} holds NaN`]),
    ...(nonFinite.inf === undefined ? [] : [`tensor ${nonFinite.inf} holds an infinity`]),
    ...(others === 0 ? [] : [`${plural(others, 'link')} not followed`]),
  ].join(', ');
}

/** A link in a checkpoint that leads nowhere: what it named is gone. */
async function deadLink(root: string, unit: Unit): Promise<string | undefined> {
  for (const { path: name } of unit.files.filter((file) => file.kind === 'other')) {
    try {
      await fs.stat(path.join(root, name));
    } catch (error) {
      if (isGone(error) || errorCode(error) === 'ELOOP') return `${name} is a link that leads nowhere`;
      throw error;
    }
  }
  return undefined;
}
