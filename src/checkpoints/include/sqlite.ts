import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { errorCode, files } from '../../util/os/durable.js';

const magic = Buffer.from('SQLite format 3\0', 'latin1');

/** What SQLite keeps beside a database that is open: its journal, and the index of that, which is made anew. */
export const besideDatabase = { journals: ['-wal', '-journal'], index: '-shm' } as const;

/** How long a copy of a living database may take, ms. */
const backupTimeoutMs = 120_000;

/** Python's own, which waits for writers and copies a consistent state. */
const backup = `
import sqlite3, sys
from urllib.parse import quote
source = sqlite3.connect("file:" + quote(sys.argv[1]) + "?mode=ro", uri=True, timeout=30)
target = sqlite3.connect(sys.argv[2])
source.backup(target)
target.close()
source.close()
`;

/** By its first bytes. @throws the system's error */
export async function isSqlite(file: string): Promise<boolean> {
  const handle = await files.open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const first = Buffer.alloc(magic.length);
    const { bytesRead } = await handle.read(first, 0, first.length, 0);
    return bytesRead === first.length && first.equals(magic);
  } finally {
    await handle.close();
  }
}

/**
 * Copies a database that a living process may be writing to.
 * @param interpreters Pythons, tried in this order
 * @returns why it could not be done, in words; undefined: it was
 */
export async function backUp(
  file: string,
  to: string,
  interpreters: readonly string[],
  signal?: AbortSignal,
): Promise<string | undefined> {
  let why = 'there is no Python';
  for (const python of interpreters) {
    const failed = await runPython(python, [file, to], signal);
    if (failed === undefined) return undefined;
    why = failed;
  }
  return why;
}

function runPython(
  python: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { timeout: backupTimeoutMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024, ...(signal && { signal }) } as const; // prettier-ignore
    execFile(python, ['-I', '-c', backup, ...args], options, (error, _, stderr) => {
      if (!error) resolve(undefined);
      else if (error.killed === true) resolve(`${python} took longer than ${backupTimeoutMs / 1000} s`);
      else resolve(stderr.trim().split('\n').at(-1) || `${python}: ${errorCode(error) ?? error.message}`);
    });
  });
}
