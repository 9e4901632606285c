import path from 'node:path';
import type { Stamp } from '../../util/os/dir-walk.js';
import type { Unit } from '../unit.js';
import { isTemporary } from './names.js';

/** Why a save did not end, in words; undefined: nothing says so. */
export type Incomplete = (unit: Unit) => string | undefined;

/** The first reason that one of them finds. */
export const firstOf =
  (...rules: readonly Incomplete[]): Incomplete =>
  (unit) => {
    for (const rule of rules) {
      const why = rule(unit);
      if (why !== undefined) return why;
    }
    return undefined;
  };

/** For a layout whose folders hold a file without which a save did not end. */
export const missing =
  (...required: readonly string[]): Incomplete =>
  (unit) => {
    const names = new Set(unit.files.map((file) => file.path));
    const folders = unit.members.filter((entry) => entry.kind === 'folder');
    const name = folders.flatMap((entry) =>
      required.filter((one) => !names.has(path.join(entry.path, one))),
    )[0];
    return name === undefined ? undefined : `${name} is missing: its save did not end`;
  };

/** The pattern takes no file of it. */
export const missingAny =
  (pattern: RegExp, words: string): Incomplete =>
  (unit) =>
    unit.files.some((file) => pattern.test(file.path))
      ? undefined
      : `${words} is missing: its save did not end`;

/** A file of these names has no bytes. */
export const emptyFile =
  (pattern: RegExp): Incomplete =>
  (unit) => {
    const empty = unit.files.find(
      (file) => file.kind === 'file' && file.size === 0 && pattern.test(file.path),
    );
    return empty && `${empty.path} is empty: its save did not end`;
  };

/**
 * Files numbered by rank fill a grid: with tensor ranks 0 and 1 and pipeline ranks 0 to 3 there are eight. Which of
 * them is missing. A last rank that all dimensions lack cannot be told from the names.
 * @param pattern takes a path within the checkpoint folder; each group is a rank
 */
export const missingRank =
  (pattern: RegExp): Incomplete =>
  (unit) => {
    for (const paths of byTemplate(unit.files.map((file) => file.path))) {
      const found = paths.flatMap((file) => {
        const match: readonly (string | undefined)[] | null = pattern.exec(file);
        return match ? [{ file, ranks: match.slice(1).map((rank) => Number(rank ?? 0)) }] : [];
      });
      const first = found[0];
      if (!first) continue;
      const sizes = first.ranks.map((_, at) => 1 + Math.max(...found.map(({ ranks }) => ranks[at] ?? 0)));
      const wanted = sizes.reduce((all, size) => all * size, 1);
      // names that were never a grid (ranks numbered by host, say) tell nothing
      if (found.length >= wanted || wanted > 2 * found.length + 1) continue;
      const have = new Set(found.map(({ ranks }) => ranks.join(' ')));
      const gap = gridOf(sizes).find((ranks) => !have.has(ranks.join(' ')));
      if (gap) return `rank ${gap.join(', ')} of ${nameless(first.file)} is missing: its save did not end`;
    }
    return undefined;
  };

/** `model-00002-of-00004.safetensors`: the names themselves say how many there are. */
export const missingShard: Incomplete = (unit) => {
  const groups = new Map<string, { readonly of: number; readonly have: Set<number> }>();
  for (const { path: file } of unit.files) {
    const match = /^(.*?)(\d+)-of-(\d+)([^/]*)$/.exec(file);
    if (!match) continue;
    const key = `${match[1] ?? ''}N-of-${match[3] ?? ''}${match[4] ?? ''}`;
    const group = groups.get(key) ?? { of: Number(match[3]), have: new Set<number>() };
    group.have.add(Number(match[2]));
    groups.set(key, group);
  }
  for (const [key, { of, have }] of groups) {
    // counted from 0 or from 1
    if (have.size < of)
      return `${of - have.size} of the ${of} files ${key} are missing: its save did not end`;
  }
  return undefined;
};

/** What a library writes under another name first is left behind by a kill. */
export const temporaryName: Incomplete = (unit) => {
  const own = new Set(unit.members.map((entry) => entry.path));
  const parts = [...unit.files.map((file) => file.path), ...unit.folders].filter((name) => !own.has(name));
  const temporary = parts.find((name) => isTemporary(path.basename(name)));
  return temporary === undefined ? undefined : `${temporary} is still under a temporary name`;
};

/**
 * torch.distributed.checkpoint renames `.metadata` in at the very end; a save over an older one leaves the old one
 * until then, so shards that were there before it and were written after it are half of another checkpoint. (In a copy
 * of a folder the shards are younger files than it.)
 */
export const dcpUnended: Incomplete = (unit) => {
  for (const entry of unit.members.filter((member) => member.kind === 'folder')) {
    for (const folder of unit.folders.filter(
      (one) => one === entry.path || one.startsWith(`${entry.path}/`),
    )) {
      const here = unit.files.filter((file) => path.dirname(file.path) === folder);
      const shards = here.filter((file) => file.path.endsWith('.distcp'));
      const metadata = here.find((file) => path.basename(file.path) === '.metadata');
      if (shards.length === 0) continue;
      if (!metadata) return `${folder}/.metadata is missing: its save did not end`;
      const rewritten = shards.find((shard) => isRewritten(shard, metadata));
      if (rewritten)
        return `${rewritten.path} was written over, and .metadata is still that of the save before: the save did not end`;
    }
  }
  return undefined;
};

const isRewritten = (shard: Stamp, metadata: Stamp): boolean =>
  shard.mtimeMs > metadata.mtimeMs && shard.bornMs <= metadata.mtimeMs;

function byTemplate(paths: readonly string[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const file of paths) {
    const key = nameless(file);
    const group = groups.get(key);
    if (group) group.push(file);
    else groups.set(key, [file]);
  }
  return [...groups.values()];
}

/** Digits in the checkpoint's own name stay. */
function nameless(file: string): string {
  const [top = '', ...rest] = file.split('/');
  return rest.length === 0
    ? top.replace(/\d+/g, 'N')
    : [top, ...rest.map((part) => part.replace(/\d+/g, 'N'))].join('/');
}

function gridOf(sizes: readonly number[]): number[][] {
  return sizes.reduce<number[][]>(
    (rows, size) => rows.flatMap((row) => Array.from({ length: size }, (_, at) => [...row, at])),
    [[]],
  );
}
