import path from 'node:path';
import type { RollbackPlan, RollbackRequest } from '../../supervisor/ports.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import type { Layout, Look, Pointer } from '../layouts/layout.js';
import { pointersFor, pointersLeft } from '../pointers.js';
import { spareSize, type HeldSpare } from '../spares/spare.js';
import type { Unit } from '../unit.js';
import type { Move } from './intent.js';
import type { Piece } from './piece.js';
import { moveOf, outsideName } from './outside.js';
import { stampAt, type RollbackPlace } from './place.js';

/** A checkpoint folder as it is before a rollback. */
export interface Before {
  readonly dir: string;
  readonly units: readonly Unit[];
  readonly layout: Layout;
  readonly look: Look;
  /** The target, if it lies in the vault. */
  readonly spare: HeldSpare | undefined;
}

/** What a rollback comes to, before anything is staged. */
export interface Assembly {
  readonly pieces: readonly Piece[];
  readonly moves: readonly Move[];
  /** Checkpoints that leave the folder or lose their place in it. */
  readonly leaving: readonly Unit[];
  /** Asked to move, and not there. */
  readonly vanished: readonly string[];
}

/** Goes from ids to names: what is put where, and what goes away. Changes nothing. */
export async function assemble(request: RollbackRequest, before: Before): Promise<Result<Assembly>> {
  const { dir, spare } = before;
  const byId = new Map(before.units.map((unit) => [unit.id, unit] as const));
  const target = spare
    ? await unitOf(spare)
    : request.target === undefined
      ? undefined
      : byId.get(request.target);
  if (request.target !== undefined && !target)
    return fail(
      `${JSON.stringify(request.target)} is no longer in ${dir} nor in its vault; nothing was moved`,
      exitStatus.failed,
    );
  const moving = request.moves.flatMap((id) => byId.get(id) ?? []);
  const restores = spare ? spare.spare.members.map((member): Piece => restoreOf(spare, member)) : [];
  const putBack = new Set(restores.map((piece) => piece.name));
  const gone = new Set(moving.flatMap((unit) => unit.members.map((member) => member.path)));
  for (const name of putBack) gone.delete(name);
  const pointers = target ? await pointersFor(before.look, before.layout, target, gone) : [];
  const inOrder = await Promise.all(pointers.map((pointer) => pieceOf(before.look, pointer)));
  const extra = await outsideOf(before, request);
  const pieces = [...restores, ...extra.pieces, ...inOrder].map((piece) => {
    const takes = piece.path === undefined ? byId.get(piece.name)?.id : undefined;
    return takes === undefined ? piece : { ...piece, takes };
  });
  const taken = new Set(pieces.map((piece) => piece.takes));
  const displaced = before.units.filter((unit) => !moving.includes(unit) && taken.has(unit.id));
  const moves = moving.flatMap(({ id, members }) =>
    members.map(({ path: name, inode }) => ({ id, name, inode })),
  );
  // nothing to resume from is left: a pointer would only make the framework stumble
  const [newest] = moving;
  const idle = target || !newest ? [] : await pointersLeft(before.look, before.layout, newest);
  const forsaken = idle.filter(({ path: name }) => !gone.has(name));
  return ok({
    pieces,
    moves: [
      ...forsaken.map(({ path: name, inode }) => ({ id: name, name, inode })),
      ...moves,
      ...extra.moves,
    ],
    leaving: [...moving, ...displaced],
    vanished: request.moves.filter((id) => !byId.has(id)),
  });
}

/** What it would do, for people. `<tx>` stands for the name that the rollback will have. */
export function planOf(
  { pieces, moves, leaving }: Assembly,
  {
    dir,
    vault,
    spare,
  }: { readonly dir: string; readonly vault: string | undefined; readonly spare: HeldSpare | undefined },
): RollbackPlan {
  const quarantine = vault === undefined ? 'quarantine' : path.join(vault, 'quarantine', '<tx>');
  return {
    moves: leaving.map(({ id }) => ({ id, from: path.join(dir, id), to: path.join(quarantine, id) })),
    restores: spare
      ? [{ id: spare.spare.id, to: path.join(dir, spare.spare.of), sizeBytes: spareSize(spare.spare) }]
      : [],
    others: [
      ...pieces.flatMap((piece) => piece.words ?? []),
      ...moves.flatMap(({ id }) =>
        leaving.some((unit) => unit.id === id) ? [] : `${id} goes into quarantine`,
      ),
    ],
  };
}

const restoreOf = (spare: HeldSpare, member: string): Piece => ({
  id: spare.spare.id,
  name: member,
  why: 'restore',
  source: { spare, member },
});

/** A spare as the checkpoint that it will be. */
async function unitOf({ spare, root, present }: HeldSpare): Promise<Unit> {
  const stamps = await Promise.all(
    spare.members.map(async (member) => {
      const stamp = await stampAt(path.join(root, member));
      return stamp && { ...stamp, path: member };
    }),
  );
  return {
    id: spare.of,
    members: stamps.flatMap((stamp) => stamp ?? []),
    files: present,
    folders: spare.folders,
    ...(spare.number !== undefined && { number: spare.number }),
    mayBeStep: true,
    expected: new Map(),
  };
}

async function pieceOf(look: Look, pointer: Pointer): Promise<Piece> {
  const { name } = pointer;
  const was = (await look.linkTarget(name)) ?? (await look.text(name));
  const before = was === undefined ? '' : `, not ${JSON.stringify(was.slice(0, 80))}`;
  const made = { id: name, name, why: 'pointer' } as const;
  if ('text' in pointer)
    return {
      ...made,
      source: { text: pointer.text },
      words: `${name} names ${JSON.stringify(pointer.text)}${before}`,
    };
  if ('link' in pointer)
    return {
      ...made,
      source: { link: pointer.link },
      words: `${name} leads to ${JSON.stringify(pointer.link)}${before}`,
    };
  return {
    ...made,
    source: { copyOf: pointer.copyOf },
    words: `${name} becomes a copy of ${pointer.copyOf}`,
  };
}

/** What lies outside the checkpoint folder and goes with it. What is gone already need not go. */
async function outsideOf(
  place: Pick<RollbackPlace, 'dir'>,
  { extra }: RollbackRequest,
): Promise<{ pieces: readonly Piece[]; moves: readonly Move[] }> {
  const puts = extra?.puts ?? [];
  const moves: Move[] = [];
  for (const [index, file] of (extra?.moves ?? []).entries()) {
    const move = await moveOf(file, outsideName(puts.length + index, file));
    if (move) moves.push(move);
  }
  const pieces = puts.map(({ from, to }, index): Piece => ({
    id: path.relative(place.dir, to),
    name: outsideName(index, to),
    path: to,
    why: 'include',
    words: `${to} is put back as it was then`,
    source: { file: from },
  }));
  return { pieces, moves };
}
