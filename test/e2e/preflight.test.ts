import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/temp-dir.js';
import { digits, eventsOf, guard, ofType, statusOf, summaryOf } from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;
const env = { DIGITS_FAULT: 'crash@step=25' };

const configure = (cwd: string, config: object): void =>
  writeFileSync(path.join(cwd, 'recovery.config.json'), JSON.stringify(config));

describe('before a retry', { concurrency: 3 }, () => {
  test("the user's check is waited for: it fails twice, then passes", async (t) => {
    const cwd = tempDir(t);
    const check = 'echo x >> calls; test "$(wc -l < calls)" -gt 2 || { echo "not yet"; exit 1; }';
    configure(cwd, { preflight: [['sh', '-c', check]] });
    const ended = await guard(t, digits(...LENGTH), { cwd, env }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(readFileSync(path.join(cwd, 'calls'), 'utf8'), 'x\nx\nx\n');
    const waits = ofType(ended, 'host-not-ready').map(({ waitingFor }) => String(waitingFor));
    assert.equal(waits.length, 1, 'what stays the same is said once');
    assert.match(waits[0] ?? '', /^the preflight check "sh -c .*" to pass \(exit 1: not yet\)$/);
  });

  test('exit 125 of a check ends the run, saying why', async (t) => {
    const cwd = tempDir(t);
    configure(cwd, { preflight: [['sh', '-c', 'echo the node is out of service; exit 125']] });
    const ended = await guard(t, digits(...LENGTH), { cwd, env }).done;
    const { outcome, run } = summaryOf(ended);
    assert.equal(outcome, 'failed', ended.stderr);
    assert.match(run.failures[0]?.action ?? '', /^gave up: .*\(exit 125\): the node is out of service/);
  });

  test('status says what is waited for; a stop ends the wait and the check', async (t) => {
    const cwd = tempDir(t);
    configure(cwd, { preflight: [['sh', '-c', 'echo 3 nodes are away; exit 1']] });
    const running = guard(t, digits(...LENGTH), { cwd, env });
    await running.untilStdout(/"type":"host-not-ready"/);
    const waitingFor = await eventually(async () => {
      const view = (await statusOf(t, cwd, 'digits')) as unknown as Record<string, unknown>;
      return view['state'] === 'waiting' && view['waitingFor'];
    }, 'status to say what is waited for');
    assert.match(String(waitingFor), /to pass \(exit 1: 3 nodes are away\)/);
    running.kill('SIGTERM');
    assert.equal((await running.done).code, 143);
  });

  test('a port that somebody else holds is replaced for the next attempt', async (t) => {
    const cwd = tempDir(t);
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    atEnd(t, () => new Promise<void>((resolve) => void server.close(() => resolve())));
    const { port } = server.address() as net.AddressInfo;
    const script = path.join(cwd, 'meet.py');
    writeFileSync(
      script,
      'import os, socket, sys\n' +
        's = socket.socket()\n' +
        's.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n' +
        's.bind(("127.0.0.1", int(os.environ["MASTER_PORT"])))\n' +
        'print("met at", os.environ["MASTER_PORT"], file=sys.stderr)\n',
    );
    const ended = await guard(t, [digits()[0] ?? '', script], { cwd, env: { MASTER_PORT: String(port) } })
      .done;
    assert.equal(ended.code, 0, ended.stderr);
    const met = /met at (\d+)/.exec(ended.stderr)?.[1];
    assert.ok(met !== undefined && met !== String(port));
    const notices = eventsOf(ended.stdout).flatMap(({ type, text }) =>
      type === 'notice' ? [String(text)] : [],
    );
    assert.ok(
      notices.some((text) => text.startsWith(`port ${port} (MASTER_PORT) is held by `) && text.endsWith(met)),
      notices.join('\n'),
    );
  });
});
