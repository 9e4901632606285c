import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Exit, Failure, FailureKind, HostFacts, LogTail } from '../../src/failure/types.js';

/** A log of fixtures/logs, and what it is. */
export interface Sample {
  readonly id: string;
  readonly exit: Exit;
  readonly kind: FailureKind;
  readonly signature?: string;
  readonly loading?: NonNullable<Failure['loading']>;
  readonly reason?: string;
  /** Where it comes from: caused for real, or shaped after a document. */
  readonly from: string;
}

// the compiled test lies two folders deeper than its source, or as deep: the repository is what has fixtures/
const root = ['../../../', '../../'].map((up) => new URL(up, import.meta.url)).find((url) => existsSync(new URL('fixtures/logs', url)))!; // prettier-ignore
export const folder = new URL('fixtures/logs/', root);
export const samples = JSON.parse(readFileSync(new URL('samples.json', folder), 'utf8')) as Sample[];
export const files: readonly string[] = readdirSync(folder);
export const causes: readonly string[] = readdirSync(new URL('causes/', folder));

const read = (name: string): string | undefined =>
  files.includes(name) ? readFileSync(new URL(name, folder), 'utf8') : undefined;

export const tailsOf = ({ id }: Sample): LogTail[] =>
  ['out', 'err'].flatMap((stream) => {
    const text = read(`${id}.${stream}.log`);
    return text === undefined ? [] : [{ source: `worker-0.${stream}.log`, text }];
  });

export const hostOf = ({ id }: Sample): HostFacts => {
  const kernel = read(`${id}.kernel.log`)?.trimEnd().split('\n');
  return kernel ? { kernel } : {};
};
