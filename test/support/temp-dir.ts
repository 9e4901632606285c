import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { atEnd, type TestEnd } from './cleanup.js';

const PREFIX = 'trainguard-test-';

/** A new empty folder (its real path), removed when the test ends. */
export function tempDir(t: TestEnd): string {
  const dir = realpathSync(mkdtempSync(path.join(os.tmpdir(), PREFIX)));
  // a dying process may still be writing into it
  atEnd(t, () => rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  return dir;
}

/** Whether a folder is such a one, or in one: whatever works there belongs to the test. */
export const isTempDir = (dir: string): boolean =>
  dir.split(path.sep).some((part) => part.startsWith(PREFIX));
