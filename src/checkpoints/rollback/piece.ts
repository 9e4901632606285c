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

/** The files of one member of a spare. */
export const filesOf = ({ spare, member }: SpareSource): HeldSpare['spare']['files'] =>
  spare.spare.files.filter((file) => isOf(file.path, member));

export const bytesOf = (source: SpareSource): number =>
  filesOf(source).reduce((sum, file) => sum + file.size, 0);

export const isOf = (name: string, member: string): boolean =>
  name === member || name.startsWith(`${member}/`);
