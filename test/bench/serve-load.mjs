// The load of test/bench/serve.mjs, in a process of its own: workers that beat on a timetable, whatever the server does.
// Does what its parent's messages say, one after the other, and sends what came of each.
import { seeded } from '../chaos/digits-round.mjs';
import { wallMs } from './lib.mjs';
import { clientOf, json, sleep } from './serve-process.mjs';

/** How often a worker beats, as the library's default is, ms. */
const intervalMs = 5000;
const random = seeded(6);
const nameOf = (worker) => `gpu-${worker}`;
let server;
/** Batch of each worker, which only rises. */
let batches = [];

const doings = { register, beat, flood };
let before = Promise.resolve();
process.on('message', ({ what, where, options }) => {
  before = before.then(async () => {
    server = where;
    process.send(await doings[what](options));
  });
});
process.on('disconnect', () => process.exit());

async function register({ workers, connections = 64 }) {
  batches = new Array(workers).fill(0);
  const client = clientOf(() => server, connections);
  const from = wallMs();
  await Promise.all(
    batches.map(async (_, worker) => json(await client.ask('PUT', `/v1/workers/${nameOf(worker)}`, '{}'))),
  );
  client.close();
  return { tookMs: wallMs() - from };
}

/**
 * Every worker beats every 5 s, the first `singles` by themselves and the others in batches, each of these on a
 * connection of its own. Answers are timed from when a request was due, not from when it could be sent.
 * @returns `requests` as `[name, due (ms since 1970), ms from then until answered, until sent]`, what went wrong with those that were
 * `lost`, and the `failures` that were told meanwhile
 */
async function beat({ seconds, batch, singles = 0, puts = 0, body = '', silent = 0 }) {
  const from = wallMs() + 100;
  const requests = [];
  const lost = [];
  const dues = [];
  const clients = [];
  const asking = [];
  const fallsSilent = silence(silent, from, seconds);
  const stop = silent > 0 ? watchFailures(fallsSilent) : undefined;

  const sender = () => clients[clients.push(clientOf(() => server)) - 1];
  for (let first = 0; first < batches.length;) {
    const workers = first < singles ? 1 : Math.min(batch, batches.length - first);
    const own = { client: sender(), ids: Array.from({ length: workers }, (_, i) => first + i) };
    const phaseMs = random() * intervalMs;
    for (let at = phaseMs; at < seconds * 1000; at += intervalMs)
      dues.push({ at: from + at, send: () => beatOf(own, fallsSilent) });
    first += workers;
  }
  const putter = sender();
  for (let put = 0; put < puts * seconds; put++)
    dues.push({ at: from + ((put + random()) / puts) * 1000, send: () => putOf(putter, body) });

  // the first beat of each also makes its connection
  dues.sort((a, b) => a.at - b.at);
  for (const { at, send } of dues) {
    while (wallMs() < at) await sleep(at - wallMs());
    const sentMs = wallMs() - at;
    const asked = send();
    if (asked === undefined) continue; // all of it silent
    const name = at < from + intervalMs ? `${asked.name}, connecting` : asked.name;
    const answered = asked.answered.then(
      () => wallMs() - at,
      (error) => lost.push(`${name}: ${error.message}`) && Infinity,
    );
    asking.push(answered.then((tookMs) => requests.push([name, at, tookMs, sentMs])));
  }
  await Promise.all(asking);
  const failures = await stop?.();
  for (const client of clients) client.close();
  await sleep(500);
  globalThis.gc?.(); // our own pauses would be taken for the server's
  return { requests, lost, failures };
}

function beatOf({ client, ids }, fallsSilent) {
  const now = wallMs();
  const beating = ids.filter((worker) => !(fallsSilent.get(worker)?.at <= now));
  if (beating.length === 0) return undefined;
  const heard = (answers) => {
    for (const { shouldContinue, workerId } of answers)
      if (!shouldContinue) throw new Error(`${workerId} was told to stop`);
    for (const worker of beating) {
      const silent = fallsSilent.get(worker);
      if (silent) Object.assign(silent, { sentAt: now, answeredAt: wallMs() });
    }
  };
  const bodies = beating.map((worker) => ({ currentBatch: ++batches[worker], phase: 'train', loss: 0.25 }));
  if (ids.length === 1) {
    const asked = client.ask('POST', `/v1/workers/${nameOf(ids[0])}/heartbeat`, JSON.stringify(bodies[0]));
    return { name: 'single', answered: asked.then((answer) => heard([json(answer)])) };
  }
  const heartbeats = bodies.map((body, i) => ({ workerId: nameOf(beating[i]), ...body }));
  const asked = client.ask('POST', '/v1/heartbeats', JSON.stringify({ heartbeats }));
  return { name: 'batch', answered: asked.then((answer) => heard(json(answer).answers)) };
}

function putOf(client, body) {
  const worker = Math.floor(random() * batches.length);
  const asked = client.ask('POST', `/v1/workers/${nameOf(worker)}/checkpoints`, body);
  return { name: 'put', answered: asked.then(json) };
}

/** Who falls silent, and when: the timeout of the last must pass before the end. */
function silence(count, from, seconds) {
  const silent = new Map();
  const lastMs = (seconds - 15) * 1000 - intervalMs - 2000;
  while (silent.size < count)
    silent.set(Math.floor(random() * batches.length), {
      at: from + intervalMs + random() * (lastMs - intervalMs),
    });
  return silent;
}

/** @returns ends the watch, with `{ workerId, sentAt, answeredAt, lastHeartbeat, at, heardAt }` of each failed one */
function watchFailures(fallsSilent) {
  const failed = [];
  const end = clientOf(() => server).stream('/v1/events', ({ type, at, worker }) => {
    if (type !== 'failed') return;
    const { workerId, lastHeartbeat } = worker;
    const known = fallsSilent.get(Number(workerId.slice(nameOf('').length)));
    failed.push({ ...known, workerId, lastHeartbeat, at, heardAt: wallMs() });
  });
  return async () => {
    await sleep(500);
    end();
    return failed;
  };
}

/** So many heartbeats as fast as they are answered, 1,000 a request. */
async function flood({ beats, connections = 4, batch = 1000 }) {
  const client = clientOf(() => server, connections);
  const from = wallMs();
  let sent = 0;
  let worker = 0;
  const lane = async () => {
    while (sent < beats) {
      const length = Math.min(batch, beats - sent, batches.length);
      sent += length;
      const heartbeats = Array.from({ length }, () => {
        worker = (worker + 1) % batches.length;
        return { workerId: nameOf(worker), currentBatch: ++batches[worker], phase: 'train', loss: 0.25 };
      });
      json(await client.ask('POST', '/v1/heartbeats', JSON.stringify({ heartbeats })));
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
  client.close();
  return { tookMs: wallMs() - from };
}
