// The workers of serve-kills.mjs. Each asks for one thing after the other, repeats it until it is answered, and knows what
// it was told: whatever the server knows later must be that, or what was asked for and not answered.
import { createHash, randomBytes } from 'node:crypto';
import { clientOf, json, sleep } from '../bench/serve-process.mjs';

/** Longer than any restart on a machine at work, ms. */
const longestOutageMs = 60_000;
const smallest = 1024;
const largest = 4 * 1024 * 1024;
/** Of which states are cut: to make so much for each would be most of the work. */
const noise = randomBytes((largest * 3) / 4 + 4096).toString('base64');

/** One that does everything, with one request under way at a time. */
export class Worker {
  /** What was answered. */
  told = { batch: 0, failures: 0, checkpoint: undefined, extras: new Set() };
  /** Of acknowledged checkpoints. */
  paths = [];
  /** How many answers, in all and by what was asked for. */
  answered = 0;
  answers = {};
  replays = 0;
  /** How long each lost answer was waited for, ms. */
  outages = [];
  /** What was unanswered at a kill, and whether it was done: `[what, done]`. */
  afterKills = [];
  #asked;
  #lastMark;
  #keys = 0;

  constructor(name, where, random, violated) {
    Object.assign(this, { name, random, at: `/v1/workers/${name}`, client: clientOf(() => where) });
    this.wrong = (text) => violated(`${name}: ${text} (unanswered: ${this.#asked?.what ?? 'nothing'})`);
  }

  /** Ends when it is not wanted any more and all that it asked for is answered. */
  async work(wanted) {
    await this.#ask(this.#register(this.name, { maxFailures: 1e6 }));
    while (wanted()) await this.#ask(this.#next());
  }

  /** What the server knows of it, against what it was told. */
  async check() {
    const { told } = this;
    const asked = this.#asked;
    const open = (what) => asked?.what === what;
    const worker = await this.client.ask('GET', this.at);
    const done = { register: worker.status === 200 };
    if (worker.status === 404 && open('register') && asked.name === this.name) return this.#note(done);
    const { failureCount, currentBatch } = json(worker);
    done.mark = failureCount === told.failures + 1;
    if (failureCount !== told.failures && !(open('mark') && done.mark))
      this.wrong(`failureCount ${failureCount} after ${told.failures} acknowledged`);
    done.beat = currentBatch === asked?.currentBatch;
    if (currentBatch !== told.batch && !done.beat)
      this.wrong(`currentBatch ${currentBatch} after ${told.batch} acknowledged`);
    done.checkpoint = await this.#checkLatest(open('checkpoint') ? asked : undefined);
    for (const extra of new Set([...told.extras, ...(asked?.name ? [asked.name] : [])])) {
      const there = (await this.client.ask('GET', `/v1/workers/${extra}`)).status === 200;
      if (extra === asked?.name) Object.assign(done, { register: there, unregister: !there });
      else if (!there) this.wrong(`${extra} was registered and is not there`);
    }
    if (!open('mark')) await this.#markAgain();
    this.#note(done);
  }

  #note(done) {
    const asked = this.#asked;
    if (asked === undefined || asked.noted) return;
    asked.noted = true;
    this.afterKills.push([asked.what, done[asked.what]]);
  }

  /** @returns whether the newest is the one that was asked for and not answered */
  async #checkLatest(asked) {
    const known = this.told.checkpoint;
    const { status, headers, bytes } = await this.client.ask('GET', `${this.at}/checkpoints/latest`);
    if (status === 404 && known === undefined) return false;
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (status !== 200 || ![known?.sha256, asked?.sha256].includes(sha256))
      this.wrong(
        `after checkpoint ${known?.n} latest is ${status} with ${bytes.length} bytes: ${bytes.subarray(0, 80)}…`,
      );
    else if (headers['content-digest'] !== digestHeader(sha256))
      this.wrong(`latest bears the digest ${headers['content-digest']}`);
    return sha256 === asked?.sha256;
  }

  /** One whose answer came and was lost on the way asks again, much later: it must not count. */
  async #markAgain() {
    if (this.#lastMark === undefined) return;
    const { target, body, headers, text } = this.#lastMark;
    const again = await this.client.ask('POST', target, body, headers);
    if (
      again.status !== 200 ||
      again.headers['idempotency-replayed'] !== 'true' ||
      again.bytes.toString() !== text
    )
      this.wrong(`a key that was answered ${text} is now answered ${again.status} ${again.bytes}`);
  }

  #next() {
    const [extra] = this.told.extras;
    const chance = this.random();
    if (chance < 0.4) {
      const currentBatch = this.told.batch + 1 + Math.floor(this.random() * 10);
      return {
        what: 'beat',
        method: 'POST',
        target: `${this.at}/heartbeat`,
        state: { currentBatch },
        currentBatch,
      };
    }
    if (chance < 0.65) return this.#checkpoint();
    if (chance < 0.85)
      return { what: 'mark', method: 'POST', target: `${this.at}/failures`, state: { reason: 'chaos' } };
    if (chance < 0.95 || extra === undefined) return this.#register(`${this.name}.${this.#keys}`);
    return { what: 'unregister', method: 'DELETE', target: `/v1/workers/${extra}`, name: extra };
  }

  #register(name, limits) {
    // nobody's silence counts: what fails here is marked so
    const state = { ...limits, heartbeatTimeout: 86_400 };
    return { what: 'register', method: 'PUT', target: `/v1/workers/${name}`, state, name };
  }

  #checkpoint() {
    const size = Math.floor(smallest * (largest / smallest) ** this.random());
    const from = Math.floor(this.random() * (noise.length - size));
    const n = (this.told.checkpoint?.n ?? 0) + 1;
    const state = { n, worker: this.name, weights: noise.slice(from, from + size) };
    return { what: 'checkpoint', method: 'POST', target: `${this.at}/checkpoints`, state, n };
  }

  async #ask({ state, ...asked }) {
    const body = state && JSON.stringify(state);
    const sha256 = createHash('sha256')
      .update(body ?? '')
      .digest('hex');
    const headers = {
      ...(asked.what !== 'beat' && { 'idempotency-key': `${this.name}-${this.#keys++}` }),
      ...(asked.what === 'checkpoint' && this.random() < 0.5 && { 'content-digest': digestHeader(sha256) }),
    };
    const request = { ...asked, body, headers, sha256 };
    this.#asked = request;
    const { answer, waitedMs } = await persistently(
      () => this.client.ask(asked.method, asked.target, body, headers),
      () => this.check(),
    );
    if (waitedMs > 0) this.outages.push(waitedMs);
    if (answer.status >= 300) this.wrong(`answered ${answer.status} ${answer.bytes}`);
    else this.#answered(request, answer);
    this.#asked = undefined;
  }

  #answered({ what, ...asked }, { status, headers, bytes }) {
    const { told } = this;
    const text = bytes.toString();
    const answer = text === '' ? undefined : JSON.parse(text);
    this.answered++;
    this.answers[what] = (this.answers[what] ?? 0) + 1;
    if (headers['idempotency-replayed'] === 'true') this.replays++;
    if (what === 'beat') {
      told.batch = asked.currentBatch;
      if (!answer.shouldContinue) this.wrong('told to stop');
    } else if (what === 'mark') {
      told.failures++;
      this.#lastMark = { ...asked, text };
      if (answer.failureCount !== told.failures) this.wrong(`mark ${told.failures} is answered ${text}`);
    } else if (what === 'checkpoint') {
      told.checkpoint = asked;
      this.paths.push(answer.path);
      if (answer.sha256 !== asked.sha256) this.wrong(`${asked.sha256} is answered ${text}`);
    } else if (what === 'unregister') {
      told.extras.delete(asked.name);
    } else {
      if (asked.name !== this.name) told.extras.add(asked.name);
      if (status !== 201) this.wrong(`a new worker is answered ${status} ${text}`);
    }
  }
}

/** Many that only beat, all in one request, so that the journal grows. */
export class Crowd {
  /** The batch that all of them named last and that was answered. */
  told = 0;
  hurry = false;
  #asked = 0;

  constructor(count, where, violated) {
    this.names = Array.from({ length: count }, (_, i) => `crowd-${i}`);
    Object.assign(this, { violated, client: clientOf(() => where, 16) });
  }

  async work(wanted) {
    const put = (name) => () => this.client.ask('PUT', `/v1/workers/${name}`, '{"heartbeatTimeout":86400}');
    await Promise.all(this.names.map(async (name) => json((await persistently(put(name))).answer)));
    while (wanted()) {
      const currentBatch = ++this.#asked;
      const body = JSON.stringify({ heartbeats: this.names.map((workerId) => ({ workerId, currentBatch })) });
      const beat = () => this.client.ask('POST', '/v1/heartbeats', body);
      const { answer } = await persistently(beat, () => this.check());
      const stopped = json(answer).answers.filter(({ shouldContinue }) => !shouldContinue);
      if (stopped.length > 0) this.violated(`${stopped.length} of the crowd were told to stop`);
      this.told = currentBatch;
      if (!this.hurry) await sleep(20);
    }
  }

  async check() {
    const batches = new Map(
      (await this.list()).map(({ workerId, currentBatch }) => [workerId, currentBatch]),
    );
    const wrong = this.names.filter((name) => ![this.told, this.#asked].includes(batches.get(name)));
    if (wrong.length > 0)
      this.violated(
        `${wrong.length} of the crowd, e.g. ${wrong[0]}: batch ${batches.get(wrong[0])} after ${this.told}`,
      );
  }

  /** All workers there are. */
  async list() {
    const workers = [];
    for (let after = ''; after !== null;) {
      const query = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
      const page = json(await this.client.ask('GET', `/v1/workers?limit=400${query}`));
      workers.push(...page.workers);
      after = page.next;
    }
    return workers;
  }
}

/**
 * Asks until there is an answer.
 * @param whenBack is done before it is asked again
 */
async function persistently(ask, whenBack = () => undefined) {
  let lostAt;
  for (;;) {
    try {
      if (lostAt !== undefined) await whenBack();
      const answer = await ask();
      return { answer, waitedMs: lostAt === undefined ? 0 : performance.now() - lostAt };
    } catch (error) {
      if (!['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ECONNABORTED'].includes(error.code)) throw error;
      lostAt ??= performance.now();
      if (performance.now() - lostAt > longestOutageMs)
        throw new Error('there is no server any more', { cause: error });
      await sleep(20);
    }
  }
}

const digestHeader = (sha256) => `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;
