import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createNotifier, type Notifier } from '../../src/commands/notify.js';
import { type NotifyTarget, notifyTarget } from '../../src/commands/notify-target.js';
import type { Happening } from '../../src/supervisor/parts.js';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/temp-dir.js';
import { events, states } from '../policy/samples.js';

const done: Happening = {
  ...{ event: events.inspected, before: states.running, after: states['ended/completed'], effects: [] },
};
const silence: Happening = {
  ...{ event: events['silence-warning'], before: states.running, after: states.running, effects: [] },
};

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** A server whose answers are given in order, the last again and again; `hang` never answers. */
async function serve(
  t: TestContext,
  ...answers: readonly (number | 'hang' | { readonly to: string })[]
): Promise<{ readonly url: string; readonly received: Received[] }> {
  const received: Received[] = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const answer = answers[Math.min(received.length, answers.length - 1)] ?? 200;
      const { method, url, headers } = request;
      received.push({ method, url, headers, body });
      if (answer === 'hang') return;
      if (typeof answer === 'number') response.writeHead(answer).end('ok');
      else response.writeHead(307, { location: answer.to }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = http.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function notifierOf(
  t: TestContext,
  wishes: readonly (string | readonly string[])[],
  options: { readonly answerMs?: number } = {},
): { readonly notifier: Notifier; readonly notices: string[]; readonly runDir: string } {
  const runDir = tempDir(t);
  const notices: string[] = [];
  const notifier = createNotifier({
    targets: wishes.map(targetOf),
    facts: { run: 'digits', host: 'node7', runDir, cwd: runDir },
    retryAfterMs: [1, 1],
    notice: (text) => notices.push(text),
    ...options,
  });
  return { notifier, notices, runDir };
}

function targetOf(wish: string | readonly string[]): NotifyTarget {
  const target = notifyTarget(wish, true);
  assert.ok(target.ok);
  return target.value;
}

describe('a URL', () => {
  test('gets a POST of JSON with a text', async (t) => {
    const { url, received } = await serve(t, 200);
    const { notifier, notices } = notifierOf(t, [`${url}/services/T0/B0/secret`]);
    notifier.tell(silence);
    notifier.tell(done);
    await notifier.close(5000);
    assert.deepEqual(notices, []);
    assert.deepEqual(
      received.map(({ body }) => (JSON.parse(body) as { event: string }).event),
      ['silence', 'done'],
    );
    const [first] = received;
    assert.equal(first?.method, 'POST');
    assert.equal(first.url, '/services/T0/B0/secret');
    assert.equal(first.headers['content-type'], 'application/json');
    assert.match((JSON.parse(first.body) as { text: string }).text, /^digits on node7: no progress for /);
  });

  test('is tried again while its server is in trouble', async (t) => {
    const { url, received } = await serve(t, 503, 429, 204);
    const { notifier, notices } = notifierOf(t, [url]);
    notifier.tell(done);
    await notifier.close(5000);
    assert.equal(received.length, 3);
    assert.deepEqual(notices, []);
  });

  test('that refuses is not asked again, and is said once, without its path', async (t) => {
    const { url, received } = await serve(t, 404);
    const { notifier, notices } = notifierOf(t, [`${url}/services/secret?token=secret`]);
    notifier.tell(silence);
    notifier.tell(done);
    await notifier.close(5000);
    assert.equal(received.length, 2);
    assert.deepEqual(notices, [`${url}/… could not be notified: it answers 404`]);
  });

  test('whose host does not listen is said without its path, after a few tries', async (t) => {
    const { notifier, notices } = notifierOf(t, [
      `http://user:secret@127.0.0.1:${await freePort()}/hook-secret`,
    ]);
    notifier.tell(done);
    await notifier.close(5000);
    assert.match(notices.join(), /^http:\/\/127\.0\.0\.1:\d+\/… could not be notified: ECONNREFUSED$/);
  });

  test('that hangs holds up nobody, and is broken off at the end', async (t) => {
    const { url, received } = await serve(t, 'hang');
    const { notifier, notices } = notifierOf(t, [url]);
    notifier.tell(silence);
    await eventually(() => received.length === 1, 'the request');
    notifier.tell(done);
    await notifier.close(10);
    assert.deepEqual(notices, [`${url} could not be notified: no answer before the run ended`]);
  });

  test('that answers too late is tried again', async (t) => {
    const { url, received } = await serve(t, 'hang', 200);
    const { notifier, notices } = notifierOf(t, [url], { answerMs: 300 });
    notifier.tell(done);
    await notifier.close(5000);
    assert.ok(received.length >= 2);
    assert.deepEqual(notices, []);
  });

  test('that leads elsewhere is not followed', async (t) => {
    const other = await serve(t, 200);
    const { url } = await serve(t, { to: `${other.url}/stolen` });
    const { notifier, notices } = notifierOf(t, [url.replace('//', '//user:secret@')]);
    notifier.tell(done);
    await notifier.close(5000);
    assert.equal(other.received.length, 0);
    assert.deepEqual(notices, [
      `${url} could not be notified: it answers 307 and leads elsewhere; give the address itself`,
    ]);
  });

  test('with credentials is asked with them, not by them', async (t) => {
    const { url, received } = await serve(t, 200);
    const { notifier } = notifierOf(t, [`${url.replace('//', '//bob:s%40crет@')}/x`]);
    notifier.tell(done);
    await notifier.close(5000);
    const [, basic = ''] = received[0]?.headers.authorization?.split(' ') ?? [];
    assert.equal(Buffer.from(basic, 'base64').toString(), 'bob:s@crет');
  });
});

describe('a command', () => {
  test('gets the JSON on stdin, its words as they are', async (t) => {
    const { notifier, notices, runDir } = notifierOf(t, [`sh -c 'cat > "$0"; echo $TRAINGUARD_HOOK' 'a b'`]);
    notifier.tell(done);
    await notifier.close(5000);
    assert.deepEqual(notices, []);
    const told = JSON.parse(readFileSync(path.join(runDir, 'a b'), 'utf8')) as { event: string };
    assert.equal(told.event, 'done');
    assert.match(readFileSync(path.join(runDir, 'notify.log'), 'utf8'), /notify done: exit 0 .*\nnotify\n$/s);
  });

  test('is named without its addresses, in its log too', async (t) => {
    const argv = ['sh', '-c', 'exit 2', 'https://hooks.example.org/services/secret'];
    const { notifier, notices, runDir } = notifierOf(t, [argv]);
    notifier.tell(done);
    await notifier.close(5000);
    const said = notices.join() + readFileSync(path.join(runDir, 'notify.log'), 'utf8');
    assert.equal(said.match(/exit 2 https:\/\/hooks\.example\.org\/…/g)?.length, 2);
    assert.doesNotMatch(said, /secret/);
  });

  test('that fails is said once, and the others are told all the same', async (t) => {
    const { notifier, notices, runDir } = notifierOf(t, [
      ['sh', '-c', 'echo no mail here; exit 2'],
      ['sh', '-c', 'touch told'],
    ]);
    notifier.tell(silence);
    notifier.tell(done);
    await notifier.close(5000);
    assert.deepEqual(notices, [
      'sh -c echo no mail here; exit 2 could not be notified: exit 2: no mail here',
    ]);
    assert.ok(existsSync(path.join(runDir, 'told')));
  });
});

describe('who can be notified', () => {
  const shown: readonly (readonly [wish: string | readonly string[], shown: string])[] = [
    ['https://hooks.slack.com/services/T0/B0/secret', 'https://hooks.slack.com/…'],
    ['HTTPS://bob:secret@example.org', 'https://example.org'],
    ['https://ntfy.sh/topic?tpl=1', 'https://ntfy.sh/…'],
    ["mail -s 'it is done' me@example.org", 'mail -s it is done me@example.org'],
    [['./tell', '--token', 'secret'], './tell --token ***'],
    [
      'curl -sf --json @- https://hooks.slack.com/services/T0/B0/secret',
      'curl -sf --json @- https://hooks.slack.com/…',
    ],
    [
      `sh -c "curl 'https://api.telegram.org/bot1:secret/sendMessage?chat_id=1'; echo https://x.org"`,
      "sh -c curl 'https://api.telegram.org/…'; echo https://x.org",
    ],
    ['curl -u bob:secret https://x.org/?token=secret', 'curl -u bob:*** https://x.org/…'],
    ['curl --url=https://bob:secret@x.org/secret', 'curl --url=https://x.org/…'],
  ];
  for (const [wish, name] of shown) test(name, () => assert.equal(targetOf(wish).shown, name));

  const bad: readonly (readonly [wish: string | readonly string[], message: RegExp])[] = [
    [
      'ftp://example.org/secret',
      /--notify takes http and https URLs and commands, and this ftp URL is neither/,
    ],
    ['https://', /this https URL is neither/],
    ["tell 'me", /--notify has a quote \('\) that is never closed/],
    ['  ', /--notify names nobody/],
  ];
  for (const [wish, message] of bad) {
    test(JSON.stringify(wish), () => {
      const target = notifyTarget(wish, true);
      assert.ok(!target.ok);
      assert.equal(target.error.exit, 64);
      assert.match(target.error.message, message);
      assert.doesNotMatch(target.error.message, /secret/);
    });
  }
});
