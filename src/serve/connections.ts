/** How many connections are kept. */
export interface ConnectionLimits {
  /** Of those who have shown the token: workers. */
  readonly known: number;
  /** Of all together: what is not taken by workers is for who has not shown it yet. */
  readonly total: number;
}

/** Why a request cannot be served on its connection. */
export type Overload = 'all-busy' | 'pipelined';

/** Requests that one connection may have under way at once; ordinary clients send one after the other. */
export const maxPipelined = 16;

/**
 * Says which connection has to go when there are too many. Who never showed the token goes first, the oldest before
 * others, so that no number of idle strangers locks the workers out; then the worker's connection that was quiet the
 * longest: it connects anew when it beats. Pure; connections are known by any name.
 */
export class Connections {
  private readonly limits: ConnectionLimits;
  /** In the order of their coming. */
  private readonly strangers = new Set<string>();
  /** In the order of their falling quiet. */
  private readonly idle = new Set<string>();
  /** How many requests are under way. */
  private readonly busy = new Map<string, number>();

  constructor(limits: ConnectionLimits) {
    this.limits = limits;
  }

  get total(): number {
    return this.strangers.size + this.known;
  }

  get known(): number {
    return this.idle.size + this.busy.size;
  }

  /** @returns whose place it takes */
  opened(id: string): string | undefined {
    this.strangers.add(id);
    if (this.total <= this.limits.total) return undefined;
    const [oldest] = this.strangers;
    return oldest;
  }

  /**
   * A request on it showed the token.
   * @returns the connection that has to go, or why this request cannot be served
   */
  begun(id: string): { readonly evicted?: string; readonly overload?: Overload } {
    const under = this.busy.get(id) ?? 0;
    if (under >= maxPipelined) return { overload: 'pipelined' };
    const isNew = this.strangers.has(id);
    const [quietest] = this.idle;
    if (isNew && this.known >= this.limits.known && quietest === undefined) return { overload: 'all-busy' };
    const evicted = isNew && this.known >= this.limits.known ? quietest : undefined;
    this.strangers.delete(id);
    this.idle.delete(id);
    this.busy.set(id, under + 1);
    return evicted === undefined ? {} : { evicted };
  }

  /** One of its requests was answered, or came to nothing. */
  ended(id: string): void {
    const under = this.busy.get(id);
    if (under === undefined) return;
    if (under > 1) {
      this.busy.set(id, under - 1);
      return;
    }
    this.busy.delete(id);
    this.idle.add(id);
  }

  closed(id: string): void {
    this.strangers.delete(id);
    this.idle.delete(id);
    this.busy.delete(id);
  }
}

/** Connections of workers unless another number is asked for. */
const usual = 10_000;
/** Room beside them for who has not shown the token yet. */
const forStrangers = 1024;
/** Open files for all else: the journal, checkpoints being written and read. */
const forFiles = 256;

/**
 * How many connections there may be. Pure.
 * @param asked `--max-connections`: workers'
 * @param openFiles our limit of open files; undefined: not known
 * @returns `words`: why there are fewer than asked for, or usual
 */
export function connectionLimits(
  asked: number | undefined,
  openFiles: number | undefined,
): ConnectionLimits & { readonly words?: string } {
  const wanted = asked ?? usual;
  const needed = wanted + forStrangers + forFiles;
  if (openFiles === undefined || needed <= openFiles) return { known: wanted, total: wanted + forStrangers };
  const total = openFiles - Math.min(forFiles, Math.floor(openFiles / 4));
  const known = Math.min(wanted, total - Math.min(forStrangers, Math.ceil(total / 8)));
  const words = `room for the connections of ${known} workers, not ${wanted}: only ${openFiles} files may be open at once; raise that with "ulimit -n ${needed}"`;
  return known < wanted ? { known, total, words } : { known, total };
}
