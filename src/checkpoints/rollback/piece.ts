import type { HeldSpare } from '../spares/spare.js';
import type { Put } from './intent.js';

/** What is to be put somewhere, and what it is made of. */
export type Piece = Pick<Put, 'id' | 'name' | 'path' | 'takes' | 'why' | 'words'> & {
  readonly source: Source;
};

export interface SpareSource {
  readonly spare: HeldSpare;
  /** A top-level name of it. */
  readonly member: string;
}

export type Source =
  | SpareSource
  | { readonly text: string }
  | { readonly link: string }
  /** A name in the folder, which may itself be put by this rollback. */
  | { readonly copyOf: string }
  /** An absolute path; with its digest, if it is known. */
  | { readonly file: string; readonly digest?: string };

/** How many bytes are copied to put it there; what is linked or written costs none. */
export const bytesToCopy = ({ source }: Piece): number =>
  'spare' in source && source.spare.spare.how === 'copy' ? bytesOf(source) : 0;

/** What of a spare belongs to one of its members. */
interface Part {
  readonly files: HeldSpare['spare']['files'];
  readonly folders: readonly string[];
}

const sorted = new WeakMap<HeldSpare, ReadonlyMap<string, Part>>();

/** Sorted out once a spare, which may have as many members as files. */
export function partOf({ spare: held, member }: SpareSource): Part {
  const { files, folders } = held.spare;
  const parts = sorted.get(held) ?? byMember(files, folders);
  sorted.set(held, parts);
  return parts.get(member) ?? { files: [], folders: [] };
}

function byMember(files: Part['files'], folders: Part['folders']): ReadonlyMap<string, Part> {
  const parts = new Map<string, { files: Part['files'][number][]; folders: string[] }>();
  const of = (name: string): { files: Part['files'][number][]; folders: string[] } => {
    const member = name.slice(0, `${name}/`.indexOf('/'));
    const part = parts.get(member) ?? { files: [], folders: [] };
    parts.set(member, part);
    return part;
  };
  for (const file of files) of(file.path).files.push(file);
  for (const folder of folders) of(folder).folders.push(folder);
  return parts;
}

export const bytesOf = (source: SpareSource): number =>
  partOf(source).files.reduce((sum, file) => sum + file.size, 0);
