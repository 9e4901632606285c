import assert from 'node:assert/strict';
import path from 'node:path';
import { openService } from '../../src/serve/service.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { pythonPath } from '../support/python.js';
import { root } from '../support/root.js';
import { runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';

/** What test/api/ancestors.py says. */
export interface Said {
  /** By the row's name: null, or the traceback. */
  readonly outcomes: Readonly<Record<string, string | null>>;
  /** Without types, by `Class` or `Class.method`. */
  readonly signatures: Readonly<Record<string, string>>;
}

/** Runs every row's check in one Python, against a server of its own. */
export async function runPython(t: TestEnd): Promise<Said> {
  const opened = await openService({ dir: path.join(tempDir(t), 'serve'), port: 0, notice: () => undefined });
  assert.ok(opened.ok);
  const service = opened.value;
  atEnd(t, () => service.close());
  const { code, stdout, stderr } = await runProgram(
    t,
    [pythonPath(), path.join(root, 'test', 'api', 'ancestors.py')],
    {
      timeoutMs: 300_000,
      env: {
        PYTHONPATH: path.join(root, 'src', 'client'),
        PYTHONDONTWRITEBYTECODE: '1',
        TRAINGUARD_URL: service.url,
        TRAINGUARD_TOKEN_FILE: service.tokenFile,
      },
    },
  ).done;
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Said;
}
