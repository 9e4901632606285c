import { crc32 } from 'node:zlib';
import { fromJson, toJson } from './json.js';
import { schemaVersion } from './versioned-file.js';

/** `{"schemaVersion":1,"seq":12,"check":"0a1b2c3d","event":…}` and a newline; check: crc32 of the event's bytes. */
export function encodeLine(seq: number, event: unknown): string {
  const payload = toJson(event);
  const check = crc32(payload).toString(16).padStart(8, '0');
  return `{"schemaVersion":${schemaVersion},"seq":${seq},"check":"${check}","event":${payload}}\n`;
}

export type Line =
  | { readonly type: 'entry'; readonly event: unknown }
  | { readonly type: 'bad'; readonly why: string }
  | { readonly type: 'newer'; readonly version: number };

const header = /^\{"schemaVersion":(\d{1,9}),"seq":(\d{1,15}),"check":"([0-9a-f]{8})","event":/;

/** Reads one line, without its newline, that should be entry number `seq`. */
export function decodeLine(bytes: Buffer, seq: number): Line {
  const head = header.exec(bytes.toString('latin1', 0, 96));
  const version = Number(head?.[1] ?? newerVersion(bytes));
  if (version > schemaVersion) return { type: 'newer', version };
  if (!head || bytes.at(-1) !== 0x7d) return { type: 'bad', why: 'it is no journal entry' };
  const payload = bytes.subarray(head[0].length, -1);
  if (crc32(payload) !== parseInt(head[3] ?? '', 16))
    return { type: 'bad', why: 'its checksum does not match' };
  if (Number(head[2]) !== seq) return { type: 'bad', why: `it is entry ${head[2]}, not ${seq}` };
  try {
    return { type: 'entry', event: fromJson(payload.toString('utf8')) };
  } catch (error) {
    if (error instanceof SyntaxError) return { type: 'bad', why: 'it is no JSON' };
    throw error;
  }
}

/** A later version may write its lines differently, but says so first. */
const newerVersion = (bytes: Buffer): string | undefined =>
  /^\{"schemaVersion":(\d{1,9})[,}]/.exec(bytes.toString('latin1', 0, 40))?.[1];
