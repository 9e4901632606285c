import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pythonPath } from '../support/python.js';
import { runCli, runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { clientFile, well } from './kit.js';

test('client python prints one file that Python compiles without a warning', async (t) => {
  const { code, stdout, stderr } = await runCli(t, ['client', 'python']).done;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  assert.equal(stdout, readFileSync(clientFile, 'utf8'));
  const dir = tempDir(t);
  writeFileSync(path.join(dir, 'trainguard_client.py'), stdout);
  await well(
    runProgram(t, [pythonPath(), '-W', 'error', '-m', 'py_compile', 'trainguard_client.py'], { cwd: dir }),
  );
});

test('client --json bears the file as text', async (t) => {
  const { stdout } = await runCli(t, ['client', 'python', '--json']).done;
  const { file, text } = JSON.parse(stdout) as { file: string; text: string };
  assert.equal(file, 'trainguard_client.py');
  assert.equal(text, readFileSync(clientFile, 'utf8'));
});

test('a language that has no client is refused, with what is to be done', async (t) => {
  const { code, stdout, stderr } = await runCli(t, ['client', 'cobol']).done;
  assert.equal(code, 64);
  assert.equal(stdout, '');
  assert.match(stderr, /^trainguard: there is no client for "cobol", only for python; .*openapi\.json\n$/);
});

test('without a server in the environment one sentence says what to set', async (t) => {
  const worker = (env: Record<string, string>) =>
    runProgram(t, [pythonPath(), '-c', 'from trainguard_client import *; RecoveryManager()'], {
      env: { PYTHONPATH: path.dirname(clientFile), PYTHONDONTWRITEBYTECODE: '1', ...env },
    }).done;
  const nowhere = await worker({});
  assert.equal(nowhere.code, 1);
  assert.match(
    nowhere.stderr,
    /RecoveryError: set TRAINGUARD_URL to what `trainguard serve` printed, or pass url=/,
  );
  const noToken = await worker({ TRAINGUARD_URL: 'http://localhost:8471' });
  assert.match(noToken.stderr, /RecoveryError: set TRAINGUARD_TOKEN_FILE \(or TRAINGUARD_TOKEN\)/);
  const noFile = await worker({ TRAINGUARD_URL: 'http://localhost:8471', TRAINGUARD_TOKEN_FILE: '/nowhere' });
  assert.match(
    noFile.stderr,
    /TRAINGUARD_TOKEN_FILE: there is no \/nowhere: has `trainguard serve` been started/,
  );
  const noUrl = await worker({ TRAINGUARD_URL: 'localhost:8471', TRAINGUARD_TOKEN: 'x' });
  assert.match(noUrl.stderr, /RecoveryError: TRAINGUARD_URL is to be http:\/\/HOST:PORT/);
  const given = await runProgram(
    t,
    [pythonPath(), '-c', "from trainguard_client import *; RecoveryManager(url='localhost:1')"],
    {
      env: {
        PYTHONPATH: path.dirname(clientFile),
        PYTHONDONTWRITEBYTECODE: '1',
        TRAINGUARD_URL: 'http://localhost:8471',
        TRAINGUARD_TOKEN: 'x',
      },
    },
  ).done;
  assert.match(given.stderr, /RecoveryError: url is to be http:.*, not localhost:1/);
});
