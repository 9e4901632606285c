import type { Frame, PythonError } from './traceback.js';

/** Code that is not the user's: what pip installed, Python itself. */
const foreign = /[\\/](?:site-packages|dist-packages|lib(?:64)?[\\/]python\d[\d.]*)[\\/]|^<frozen /;

/** The innermost frame in the user's own code, or the innermost of all. */
export const userFrame = ({ frames }: PythonError): Frame | undefined =>
  frames.findLast((frame) => !foreign.test(frame.file)) ?? frames.at(-1);

/** The last parts of a path that tell files of one name apart: `models/__init__.py`. */
export function shortFile(file: string): string {
  const parts = file.split(/[\\/]/);
  const name = parts.at(-1) ?? file;
  return name === '__init__.py' && parts.length > 1 ? parts.slice(-2).join('/') : name;
}

/**
 * Equal for two exceptions that are the same one: the type, the user's innermost frame, and the message without what
 * differs from run to run (addresses, numbers, paths, times, ids).
 */
export function fingerprintOf(error: PythonError): string {
  const frame = userFrame(error);
  const where = frame ? `${shortFile(frame.file)}:${frame.line}:${frame.in ?? ''}` : '';
  return `${error.type}@${where}#${hash(normalised(error.message))}`;
}

/** A message without addresses, paths and numbers. */
export const normalised = (message: string): string =>
  message
    .slice(0, 1000)
    .replace(/0x[0-9a-f]+/gi, 'ADDRESS')
    .replace(/(?<![\w.])(?:\/[\w.@+-]+){2,}\/?/g, 'PATH')
    .replace(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi, 'ID')
    .replace(/\b(?=[a-f]*\d)[0-9a-f]{12,}\b/gi, 'ID')
    .replace(/\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi, 'N')
    .slice(0, 300);

/** 53 bits of the text (cyrb53): short, and the same everywhere. */
function hash(text: string): string {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
}
