// The HTTP surface fuzzed from its own OpenAPI document by schemathesis: no 5xx, no answer that is not documented, in
// single requests (right and wrong ones) and in sequences of them. Fails on any, and on any error of ours in the log.
// `npm run build && .ci/fuzz [cases an operation, 200 unless given] [seed] [options of schemathesis]`, all its checks on.
// The server is put together from its own parts, but that streams of events end after 0.2 s: the fuzzer reads to the end.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = process.env.TRAINGUARD_BUILT ?? path.join(root, 'dist');
const load = (file) => import(pathToFileURL(path.join(built, 'src', file)).href);
const venv = process.env.TRAINGUARD_CI_FUZZ_VENV ?? path.join(homedir(), '.cache/trainguard-ci/fuzz');
const [cases = '200', seed = String(Date.now() % 1_000_000), ...others] = process.argv.slice(2);

const token = 'a-token-of-this-round-alone';
const dir = mkdtempSync(path.join(tmpdir(), 'trainguard-fuzz-'));
const bugs = [];
const { url, close } = await open();
try {
  console.log(`${url}: seed ${seed}, up to ${cases} cases an operation and phase`);
  const failed = await fuzz(url);
  await stillServing(url);
  for (const bug of bugs) console.log(`an error of ours: ${bug}`);
  console.log(failed === 0 && bugs.length === 0 ? 'nothing found' : 'something was found, see above');
  process.exitCode = failed === 0 && bugs.length === 0 ? 0 : 1;
} finally {
  await close();
  rmSync(dir, { recursive: true, force: true });
}

async function open() {
  const { openWorkerJournal } = await load('serve/worker-journal.js');
  const { RecoveryManager } = await load('recovery/manager.js');
  const { JsonCheckpoints } = await load('recovery/json-checkpoints.js');
  const { createApp } = await load('serve/app.js');
  const { startServer } = await load('serve/server.js');
  const { connectionLimits } = await load('serve/connections.js');
  const opened = await openWorkerJournal(dir);
  assert.ok(opened.ok, opened.error?.message);
  const journal = opened.value;
  const checkpoints = new JsonCheckpoints({ dir: path.join(dir, 'checkpoints'), keep: 3 });
  const manager = new RecoveryManager({}, { log: journal, remembered: journal.remembered, checkpoints });
  await manager.startMonitoring();
  const limits = { eventCommentMs: 100, eventStreamMs: 200 };
  const onBug = (error, request) => bugs.push(`${request}: ${error?.stack ?? error}`);
  const app = createApp({ manager, journal, version: 'fuzzed', limits, onBug });
  const server = await startServer({
    fetch: (request, connection) => app.fetch(request, connection),
    endStreams: () => app.endStreams(),
    token,
    host: '127.0.0.1',
    port: 0,
    connections: connectionLimits(undefined, undefined),
    maxBodyBytes: 16 * 1024 * 1024,
    onTrouble: (text) => bugs.push(text),
  });
  assert.ok(server.ok, server.error?.message);
  return {
    url: server.value.url,
    async close() {
      await server.value.close();
      await manager.close();
      await journal.close();
    },
  };
}

/** @returns how many of its rounds found something */
async function fuzz(url) {
  const report = path.join(dir, 'report.ndjson');
  // what the document cannot say of a value is 422: a digest that is not the body's, a key that was used already
  const accepted = ['2xx', 401, 403, 404, 422];
  // a body that is wrong may be too large as well
  const rejected = [400, 401, 403, 404, 405, 413, 415, 422];
  const settings = `
[checks.positive_data_acceptance]
expected-statuses = ${JSON.stringify(accepted)}
[checks.negative_data_rejection]
expected-statuses = ${JSON.stringify(rejected)}
[[operations]]
include-operation-id = "loadCheckpoint"
# what a worker saved outlives it, so that it goes on there when it registers again
checks = { use_after_free = { enabled = false } }
[[operations]]
include-operation-id = "saveCheckpoint"
# the fuzzer counts "0" as a Content-Digest that fits, whatever the pattern says
checks = { positive_data_acceptance = { enabled = false } }
`;
  writeFileSync(path.join(dir, 'schemathesis.toml'), settings);
  const given = ['run', `${url}/openapi.json`, '--header', `Authorization: Bearer ${token}`]
    .concat(['--phases', 'examples,coverage,fuzzing,stateful', ...others])
    .concat(['--max-examples', cases, '--seed', seed, '--continue-on-failure', '--no-color'])
    .concat(['--request-timeout', '20', '--generation-database', 'none', '--suppress-health-check', 'all'])
    .concat(['--report', 'ndjson', '--report-ndjson-path', report]);
  const status = await new Promise((resolve, reject) => {
    const child = spawn(path.join(venv, 'bin/schemathesis'), given, { cwd: dir, stdio: 'inherit' });
    child.once('error', reject);
    child.once('close', resolve);
  });
  tell(report);
  return status;
}

function tell(report) {
  const sent = new Map();
  for (const line of readFileSync(report, 'utf8').split('\n')) {
    for (const [, status] of line.matchAll(/"status_code":\s*(\d{3})/g)) {
      sent.set(status, (sent.get(status) ?? 0) + 1);
    }
  }
  const counts = [...sent].sort().map(([status, count]) => `${status}: ${count}`);
  console.log(`answers by status: ${counts.join(', ')}`);
}

async function stillServing(url) {
  const health = await fetch(`${url}/v1/health`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(health.status, 200);
  console.log(`still serving: ${JSON.stringify(await health.json())}`);
}
