// What somebody without the token, or a broken client, may do to `trainguard serve`: 10,000 connections that say nothing,
// 10,000 workers at the same time, bodies of 1 GB, bodies that never end, rubbish. After each it must still serve, within
// bounded memory. `node test/chaos/abuse.mjs [connections]`; exit 1 if anything fails.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { connectionLimits } from '../../dist/src/serve/connections.js';
import { sendGigabyte, residentBytes } from '../../dist/test/e2e/serve-kit.js';

const bin = path.resolve(import.meta.dirname, '../../bin/trainguard.js');
const dir = mkdtempSync(path.join(os.tmpdir(), 'trainguard-abuse-'));
const openFiles = Number(/^Max open files +\S+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
const wanted = Number(process.argv[2] ?? 10_000);
const count = Math.min(wanted, openFiles - 300);
if (count < wanted) console.log(`only ${count} connections: ${openFiles} files may be open (ulimit -n)`);

const server = spawn(process.execPath, [bin, 'serve', '--json', '--port', '0', '--state-dir', dir], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const [line] = await new Promise((resolve) =>
  server.stdout.setEncoding('utf8').once('data', (text) => resolve(text.split('\n'))),
);
const { url, tokenFile } = JSON.parse(line);
const port = Number(new URL(url).port);
const token = readFileSync(tokenFile, 'utf8').trim();
const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
const mebibytes = () => Math.round(residentBytes(server.pid) / 2 ** 20);
let failed = false;

/** One worker on one connection, all the while. */
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let lastFrom;
const ask = (using = agent) =>
  new Promise((resolve, reject) => {
    const began = performance.now();
    const request = http.get({ port, path: '/v1/health', agent: using, headers }, (answer) => {
      const from = request.socket.localPort;
      answer
        .resume()
        .on('end', () => resolve({ status: answer.statusCode, from, ms: performance.now() - began }));
    });
    request.on('error', reject);
  });

async function check(what, fact) {
  const { status, from, ms } = await ask();
  const good = fact && status === 200 && (lastFrom === undefined || from === lastFrom);
  lastFrom = from;
  failed ||= !good;
  const kept = good ? 'still serving, the worker kept its connection' : `FAILED (${status}, port ${from})`;
  console.log(`${what}: ${kept}, answered in ${ms.toFixed(1)} ms; ${mebibytes()} MiB resident`);
}

/** Many at a time, but not so many that the machine's own queue is what is tested. */
async function each(n, width, work) {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < n) await work(next++);
    }),
  );
}

/** @returns a connection that is open */
const connect = () =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
    socket.resume();
    socket.once('connect', () => resolve(socket)).once('close', () => resolve(socket));
  });

await check('at the start', true);
// a connection that is quiet for 75 s is closed, and on a machine at work what follows takes longer
const beating = setInterval(() => void ask().catch(() => undefined), 10_000);

const idle = [];
await each(count, 200, async () => idle.push(await connect()));
await check(`${count} connections without the token`, idle.length === count);
idle.forEach((socket) => socket.destroy());

// with the one above as many as the server keeps
const workers = Math.min(count, connectionLimits(undefined, openFiles).known) - 1;
const many = new http.Agent({ keepAlive: true, maxSockets: workers, maxFreeSockets: workers });
let answered = 0;
for (let round = 0; round < 2; round++)
  await each(workers, round === 0 ? 200 : workers, async () => {
    if ((await ask(many)).status === 200) answered++;
  });
const open = Object.values(many.freeSockets).flat().length;
await check(
  `${workers} workers with a connection each (${open} open, ${answered} requests answered)`,
  answered === 2 * workers,
);
const strange = [];
await each(Math.min(count, openFiles - open - 300), 200, async () => strange.push(await connect()));
const lost =
  workers -
  Object.values(many.freeSockets)
    .flat()
    .filter((socket) => !socket.destroyed).length;
await check(
  `${strange.length} connections without the token beside them (${lost} workers lost theirs)`,
  lost <= workers - open,
);
strange.forEach((socket) => socket.destroy());
many.destroy();

const before = mebibytes();
for (const target of ['/v1/workers/w0/checkpoints', '/v1/heartbeats'])
  for (const chunked of [false, true]) {
    const { status, sent } = await sendGigabyte({ port, token }, target, chunked);
    const grown = mebibytes() - before;
    const words = `1 GB to ${target}${chunked ? ' in chunks' : ''}: ${status} after ${(sent / 1e6).toFixed(0)} MB, ${grown} MiB more`;
    await check(words, status === 413 && sent < 200e6 && grown < 200);
  }

const raw = (text, hold) =>
  new Promise((resolve) => {
    let got = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    if (hold) setTimeout(() => socket.destroy(), hold);
    socket.setEncoding('latin1').on('data', (chunk) => (got += chunk));
    socket.on('error', () => undefined).on('close', () => resolve(got.slice(9, 12)));
  });
const rubbish = {};
await each(2000, 50, async (n) => {
  const bytes = Array.from({ length: 200 }, (_, k) => String.fromCharCode((n * 31 + k * 17 * n) % 256)).join(
    '',
  );
  const status = await raw(`${n % 2 ? 'GET / HTTP/1.1\r\n' : ''}${bytes}\r\n\r\n`, 5000);
  rubbish[status] = (rubbish[status] ?? 0) + 1;
});
await check(
  `2,000 pieces of rubbish (${JSON.stringify(rubbish)})`,
  !('500' in rubbish) && !('200' in rubbish),
);

const began = performance.now();
const slow = await Promise.all(Array.from({ length: 200 }, () => raw('GET / HTTP/1.1\r\nHost: loc', 60_000)));
await check(`200 headers that never end: ${[...new Set(slow)].join()} after ${Math.round((performance.now() - began) / 1000)} s`, slow.every((status) => status === '408')); // prettier-ignore

clearInterval(beating);
server.kill('SIGTERM');
const code = await new Promise((resolve) => server.once('exit', resolve));
failed ||= code !== 0;
console.log(`ended with ${code}`);
rmSync(dir, { recursive: true });
process.exit(failed ? 1 : 0);
