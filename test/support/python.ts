import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** The full path of python3; throws, and so fails the test, where there is none. */
export function pythonPath(): string {
  for (const dir of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const candidate = path.join(dir, 'python3');
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not in this folder
      continue;
    }
  }
  throw new Error('python3 is not on PATH; these tests train for real: install Python 3.8 or newer');
}
