import type { Frame, PythonError } from './traceback.js';

/** Code that is not the user's: what pip installed, a launcher in bin/, Python itself, what a package compiled. */
const foreign =
  /[\\/](?:site-packages|dist-packages|lib(?:64)?[\\/]python\d[\d.]*)[\\/]|[\\/]bin[\\/][\w-]{1,100}$|^<frozen |\.pyx$/;

/** Whether a frame is in code that is not the user's. */
export const isForeign = ({ file }: Frame): boolean => foreign.test(file);

/** The innermost frame in the user's own code, or the innermost of all. */
export const userFrame = ({ frames }: PythonError): Frame | undefined =>
  frames.findLast((frame) => !isForeign(frame)) ?? frames.at(-1);

/** `models/__init__.py:12:build`. */
export const placeOf = ({ file, line, in: name }: Frame): string =>
  `${shortFile(file)}:${line}:${name ?? ''}`;

/** The same in words: `train.py line 12, in step`. */
export function placeInWords({ file, line, in: name }: Frame): string {
  const inFunction = name === undefined || name.startsWith('<') ? '' : `, in ${name}`;
  return `${shortFile(file)} line ${line}${inFunction}`;
}

/** The last parts of a path that tell files of one name apart: `models/__init__.py`. */
export function shortFile(file: string): string {
  const parts = file.split(/[\\/]/);
  const name = parts.at(-1) ?? file;
  return name === '__init__.py' && parts.length > 1 ? parts.slice(-2).join('/') : name;
}

/**
 * Equal for two exceptions that are the same one: the type, the user's innermost frame, and the message without what
 * differs from run to run.
 */
export function fingerprintOf(error: PythonError): string {
  const frame = userFrame(error);
  return `${error.type}@${frame ? placeOf(frame) : ''}#${digestOf(error.message)}`;
}

/** A message's digest, without what differs from run to run. */
export const digestOf = (message: string): string => hash(normalised(message));

/** What differs between two runs of one bug, and what stands for it. In order: an earlier one may hold a later. */
const varying: readonly (readonly [RegExp, string])[] = [
  [/\bhttps?:\/\/[^\s'"<>)]{1,500}/gi, 'URL'],
  [/0x[0-9a-f]+/gi, 'ADDRESS'],
  [
    /\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? (?:\d{1,2} )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?: {1,2}\d{1,2})?\b/g,
    'DATE',
  ],
  // a folder is another in each run, the file's name is not
  [/(?<![\w.])(?:~|\.{1,2})?(?:\/[\w.@+=-]{1,255}){1,64}\/(?=[\w.@+=-])/g, 'PATH/'],
  [/\b(?:tmp|pymp-|torch_|torchelastic_)[a-z0-9_]{6,12}\b/g, 'TMP'],
  [/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi, 'ID'],
  [/\b(?=[a-f]{0,64}\d)[0-9a-f]{12,64}\b/gi, 'ID'],
  [/\b(?=[0-9]{0,12}[a-f])(?=[a-f]{0,12}\d)[0-9a-f]{7,12}\b/gi, 'ID'],
  [/\[[0-9a-f:.]{2,45}(?:%\w{1,15})?\]:\d{1,5}\b/gi, 'HOST'],
  [/\b[a-z][\w-]{0,62}(?:\.[\w-]{1,62}){0,8}:\d{4,5}\b/gi, 'HOST'],
  [/\bhost(?:name)? ?[=:] ?['"]?[\w.-]{1,200}/gi, 'HOST'],
  [/\d+(?:\.\d+)*(?:e[+-]?\d+)?/gi, 'N'],
];

/** A message without addresses, folders, dates, hosts, ids and numbers. */
export const normalised = (message: string): string =>
  varying
    .reduce((text, [pattern, word]) => text.replace(pattern, word), message.slice(0, 4000))
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
