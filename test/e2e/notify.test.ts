import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { runCli } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { digits, eventsOf, guard } from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;
const env = { DIGITS_FAULT: 'crash@step=25' };

/** A webhook; one that hangs answers when it is told to. */
async function webhook(
  t: TestContext,
  hangs = false,
): Promise<{
  readonly url: string;
  readonly got: { event: string; text: string }[];
  readonly answer: () => void;
}> {
  const got: { event: string; text: string }[] = [];
  const open: http.ServerResponse[] = [];
  let answering = !hangs;
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      got.push(JSON.parse(body) as { event: string; text: string });
      if (answering) response.end();
      else open.push(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/secret`,
    got,
    answer() {
      answering = true;
      for (const response of open.splice(0)) response.end();
    },
  };
}

describe('--notify', { concurrency: 3 }, () => {
  test('tells of the first failure and of the end, a URL and a command alike', async (t) => {
    const cwd = tempDir(t);
    const { url, got } = await webhook(t);
    const flags = ['--notify', url, '--notify', "sh -c 'cat >> told'"];
    const ended = await guard(t, digits(...LENGTH), { cwd, env, flags }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(
      got.map(({ event }) => event),
      ['first-failure', 'done'],
    );
    assert.match(
      got[0]?.text ?? '',
      /^digits on \S+: attempt 0 failed at step \d+: exception: .*\nretry 1 of 3$/s,
    );
    assert.match(got[1]?.text ?? '', /^digits on \S+: completed through 1 failure in /);
    const told = readFileSync(path.join(cwd, 'told'), 'utf8').trimEnd().split('\n');
    assert.deepEqual(
      told.map((line) => (JSON.parse(line) as { event: string }).event),
      ['first-failure', 'done'],
    );
    assert.doesNotMatch(ended.stdout + ended.stderr, /hook\/secret/);
  });

  test('that hangs delays no restart, and the end by no more than its patience', async (t) => {
    const cwd = tempDir(t);
    const { url, got, answer } = await webhook(t, true);
    // over long before an answer is given up and asked for again
    const once = ['sh', '-c', 'exit $((1 - TRAINGUARD_ATTEMPT))'];
    const running = guard(t, once, { cwd, flags: ['--notify', url] });
    await eventually(() => got.length === 1, 'the first failure');
    // the run has ended while the first message still waits for its answer
    await running.untilStdout(/"state":"ended"/);
    answer();
    const ended = await running.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(
      got.map(({ event }) => event),
      ['first-failure', 'done'],
    );
  });

  test('that is broken is said once, and is on record for resume', async (t) => {
    const cwd = tempDir(t);
    const flags = ['--notify', "sh -c 'exit 7'", '--max-retries', '1'];
    const ended = await guard(t, ['sh', '-c', 'exit 3'], { cwd, flags: [...flags, '--name', 'play'] }).done;
    assert.equal(ended.code, 3, ended.stderr);
    const saidIn = (stdout: string): number =>
      eventsOf(stdout).filter(({ type, text }) => type === 'notice' && /could not be notified: exit 7/.test(String(text))).length; // prettier-ignore
    assert.equal(saidIn(ended.stdout), 1);
    const again = await runCli(t, ['resume', 'play', '--json', '--max-retries', '0'], { cwd }).done;
    assert.equal(again.code, 3);
    assert.equal(saidIn(again.stdout), 1, again.stdout);
  });

  test('that names nobody is refused before anything is begun', async (t) => {
    const { code, stderr } = await runCli(t, ['run', '--notify', 'gopher://x', '--', 'true']).done;
    assert.equal(code, 64);
    assert.match(stderr, /--notify takes http and https URLs and commands/);
  });
});
