/** A request that names itself, so that it can be sent again. */
export interface KeyedRequest {
  /** Its `Idempotency-Key`. */
  readonly key: string;
  readonly method: string;
  readonly path: string;
}

/** What was said to it. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Its text, may be empty. */
  readonly body: string;
}

/** The answer to such a request. JSON. */
export interface KeptAnswer extends KeyedRequest, Answer {
  /** Of the request's body. */
  readonly digest: string;
  /** Ms since 1970. */
  readonly at: number;
}

export const answerBounds = { count: 10_000, bytes: 16 * 1024 * 1024, ageMs: 24 * 3_600_000 } as const;

/** The answers that were given, for who asks again: the newest of them, bounded in number, size and age. */
export class Answers {
  readonly #kept = new Map<string, KeptAnswer>();
  #bytes = 0;

  get(request: KeyedRequest, now: number): KeptAnswer | undefined {
    const answer = this.#kept.get(idOf(request));
    return answer && isFresh(answer, now) ? answer : undefined;
  }

  keep(answer: KeptAnswer): void {
    const id = idOf(answer);
    this.#drop(id);
    this.#kept.set(id, answer);
    this.#bytes += bytesOf(answer);
    for (const [oldest, kept] of this.#kept) {
      const fits = this.#kept.size <= answerBounds.count && this.#bytes <= answerBounds.bytes;
      if (fits && isFresh(kept, answer.at)) break;
      this.#drop(oldest);
    }
  }

  /** The oldest first. */
  values(): IterableIterator<KeptAnswer> {
    return this.#kept.values();
  }

  #drop(id: string): void {
    const answer = this.#kept.get(id);
    if (!answer) return;
    this.#kept.delete(id);
    this.#bytes -= bytesOf(answer);
  }
}

/** One string for what makes two requests the same. */
export const idOf = ({ key, method, path }: KeyedRequest): string => `${method} ${path}\n${key}`;

const isFresh = ({ at }: KeptAnswer, now: number): boolean => now - at < answerBounds.ageMs;

/** About what it takes in memory and on disk. */
const bytesOf = ({ key, path, body, digest }: KeptAnswer): number =>
  key.length + path.length + body.length + digest.length + 100;
