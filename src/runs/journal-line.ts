import { crc32 } from 'node:zlib';
import { fromJson, toJson } from './json.js';
import { schemaVersion } from './versioned-file.js';

/**
 * `{"schemaVersion":1,"seq":12,"check":"0a1b2c3d","event":…}` and a newline; check: crc32 of the event's bytes.
 * @param folds this entry stands for all before it, which a compaction took out: its number is not theirs plus one
 */
export function encodeLine(seq: number, event: unknown, folds = false): string {
  const payload = toJson(event);
  const check = checkOf(payload, seq, folds).toString(16).padStart(8, '0');
  const mark = folds ? '"folds":true,' : '';
  return `{"schemaVersion":${schemaVersion},"seq":${seq},${mark}"check":"${check}","event":${payload}}\n`;
}

/** No neighbour vouches for the number of an entry that folds, so the checksum does. */
const checkOf = (payload: string | Buffer, seq: number, folds: boolean): number =>
  crc32(payload, folds ? crc32(String(seq)) : 0);

export type Line =
  | { readonly type: 'entry'; readonly seq: number; readonly event: unknown }
  | { readonly type: 'bad'; readonly why: string }
  | { readonly type: 'newer'; readonly version: number };

const header =
  /^\{"schemaVersion":(\d{1,9}),"seq":(\d{1,15}),("folds":true,)?"check":"([0-9a-f]{8})","event":/;

/** Reads one line, without its newline, that should be entry number `seq`; a first one that folds may have any. */
export function decodeLine(bytes: Buffer, seq: number): Line {
  const head = header.exec(bytes.toString('latin1', 0, 96));
  const version = Number(head?.[1] ?? newerVersion(bytes));
  if (version > schemaVersion) return { type: 'newer', version };
  if (!head || bytes.at(-1) !== 0x7d) return { type: 'bad', why: 'it is no journal entry' };
  const payload = bytes.subarray(head[0].length, -1);
  const number = Number(head[2]);
  const folds = head[3] !== undefined;
  if (checkOf(payload, number, folds) !== parseInt(head[4] ?? '', 16))
    return { type: 'bad', why: 'its checksum does not match' };
  if (number !== seq && !(folds && seq === 1))
    return { type: 'bad', why: `it is entry ${number}, not ${seq}` };
  try {
    return { type: 'entry', seq: number, event: fromJson(payload.toString('utf8')) };
  } catch (error) {
    if (error instanceof SyntaxError) return { type: 'bad', why: 'it is no JSON' };
    throw error;
  }
}

/** A later version may write its lines differently, but says so first. */
const newerVersion = (bytes: Buffer): string | undefined =>
  /^\{"schemaVersion":(\d{1,9})[,}]/.exec(bytes.toString('latin1', 0, 40))?.[1];
