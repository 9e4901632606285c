import fs from 'node:fs/promises';
import path from 'node:path';
import type { Standing } from '../policy/checkpoint.js';
import { isGone, type Stamp } from '../util/os/dir-walk.js';
import { errorCode } from '../util/os/durable.js';
import type { Layout, Look, Pointer } from './layouts/layout.js';
import type { Unit } from './unit.js';

/**
 * The pointers that must be written so that the framework itself resumes from `target`; those that say so already are
 * left out. To be asked before anything is moved.
 * @param look of the folder as it is now: `scanner.look()`
 * @param moved names that leave the folder
 */
export async function pointersFor(
  look: Look,
  layout: Layout,
  target: Unit,
  moved: ReadonlySet<string>,
): Promise<readonly Pointer[]> {
  const wrong: Pointer[] = [];
  for (const pointer of await layout.pointers(look, target, moved))
    if (moved.has(pointer.name) || (await saidBy(look, pointer)) !== said(pointer)) wrong.push(pointer);
  return wrong;
}

/**
 * For a rollback that leaves nothing to resume from: the entries by which the framework would still look for one. They
 * must leave with the rest.
 * @param leaving what goes away
 */
export async function pointersLeft(look: Look, layout: Layout, leaving: Unit): Promise<readonly Stamp[]> {
  const pointers = await layout.pointers(look, leaving, new Set());
  const names = new Set(pointers.flatMap((pointer) => ('copyOf' in pointer ? [] : pointer.name)));
  return look.entries.filter((entry) => names.has(entry.path));
}

/** Standings of which something is known that speaks against resuming from it. */
const bad: ReadonlySet<Standing> = new Set(['partial', 'corrupt', 'tainted', 'suspect']);

/**
 * What a framework that follows its pointers would stumble over though good checkpoints are there, in words: a pointer
 * that is empty, that names nothing, or a bad one. One that names an older good checkpoint is in order: a person or
 * the framework meant it, and where the framework writes it last, the newer ones count as unended for that.
 * @param units oldest first
 */
export async function disorderIn(
  look: Look,
  layout: Layout,
  units: readonly Unit[],
  standingOf: (id: string) => Standing | undefined,
): Promise<string | undefined> {
  const isBad = (unit: Unit): boolean => bad.has(standingOf(unit.id) ?? 'complete');
  const target = units.findLast((unit) => !isBad(unit));
  if (!target) return undefined;
  for (const pointer of await layout.pointers(look, target, new Set())) {
    const now = await saidBy(look, pointer);
    const own = units.find((unit) => unit.id === pointer.name);
    if (own && isBad(own))
      return `${own.id} is ${String(standingOf(own.id))}, and resuming by that name takes it`;
    if (own || 'copyOf' in pointer) continue;
    if (now === said(pointer)) continue;
    if (now === undefined) return `${pointer.name} is missing, without which training begins anew`;
    if (now === '') return `${pointer.name} is empty`;
    const named = await unitNamed(look, layout, units, pointer.name, now);
    if (named && !isBad(named)) continue;
    const names = `${pointer.name} names ${JSON.stringify(now)}`;
    if (named) return `${names}, which is ${String(standingOf(named.id))}`;
    if (!(await isThere(look.dir, now))) return `${names}, which is not there`;
  }
  return undefined;
}

/** What it says, as one line. */
const said = (pointer: Pointer): string =>
  'text' in pointer ? pointer.text : 'link' in pointer ? pointer.link : pointer.copyOf;

/** What it says now; undefined: it is not there, or is no pointer of that kind. */
function saidBy(look: Look, pointer: Pointer): Promise<string | undefined> {
  if ('text' in pointer) return look.text(pointer.name);
  return 'link' in pointer ? look.linkTarget(pointer.name) : Promise.resolve(undefined);
}

/** The layout's own way from a checkpoint to its name, searched for the one that leads here. */
async function unitNamed(
  look: Look,
  layout: Layout,
  units: readonly Unit[],
  name: string,
  now: string,
): Promise<Unit | undefined> {
  for (const unit of units)
    for (const pointer of await layout.pointers(look, unit, new Set()))
      if (pointer.name === name && said(pointer) === now) return unit;
  return undefined;
}

/** A name in the folder or a path elsewhere: what lies there is the person's own choice. */
async function isThere(dir: string, name: string): Promise<boolean> {
  try {
    await fs.stat(path.resolve(dir, name));
    return true;
  } catch (error) {
    if (isGone(error) || errorCode(error) === 'ELOOP' || errorCode(error) === 'ENAMETOOLONG') return false;
    // it cannot be looked at, which is no proof that it is not there
    if (errorCode(error) !== undefined) return true;
    throw error;
  }
}
