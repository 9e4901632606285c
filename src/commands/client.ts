import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { GlobalOptions } from '../cli.js';
import { exitStatus, fail } from '../util/result.js';
import { refuse } from './refuse.js';

export type ClientOptions = GlobalOptions;

const files: ReadonlyMap<string, string> = new Map([['python', 'trainguard_client.py']]);

/**
 * `trainguard client <language>`: prints the one file by which workers in that language talk to `trainguard serve`.
 * Exit 64: there is none for it.
 */
export function client(language: string, options: ClientOptions): number {
  const json = options.json === true;
  const file = files.get(language);
  if (file === undefined) {
    const known = [...files.keys()].join(', ');
    const others = 'workers in others talk HTTP as "trainguard serve" describes it at /openapi.json';
    return refuse(
      fail(
        `there is no client for ${JSON.stringify(language)}, only for ${known}; ${others}`,
        exitStatus.usage,
      ).error,
      json,
    );
  }
  const text = readFileSync(path.join(packageRoot(import.meta.dirname), 'src/client', file), 'utf8');
  process.stdout.write(json ? `${JSON.stringify({ schemaVersion: 1, language, file, text })}\n` : text);
  return exitStatus.done;
}

/** This module is run compiled, and as a part of the bundle. */
function packageRoot(dir: string): string {
  return path.basename(dir) === 'bin' ? path.join(dir, '../..') : path.join(dir, '../../..');
}
