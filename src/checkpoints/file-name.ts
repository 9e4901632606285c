import { createHash } from 'node:crypto';

/** A file name that any id, with its newlines and 255 bytes, fits into; no two ids share one. */
export function fileNameFor(id: string): string {
  const encoded = encodeURIComponent(id);
  if (encoded.length <= 180) return encoded;
  return `${encoded.slice(0, 100)}.${createHash('sha256').update(id).digest('hex').slice(0, 32)}`;
}
