/** Events waiting for their turn. One consumer. */
export interface Queue<T> {
  push(item: T): void;
  next(): Promise<T>;
  /** Settles as soon as something is there to take. */
  ready(): Promise<void>;
  readonly size: number;
}

export function createQueue<T>(): Queue<T> {
  const items: T[] = [];
  let wake: (() => void)[] = [];
  const ready = async (): Promise<void> => {
    while (items.length === 0) await new Promise<void>((resolve) => wake.push(resolve));
  };
  return {
    push(item) {
      items.push(item);
      const waiting = wake;
      wake = [];
      for (const resolve of waiting) resolve();
    },
    ready,
    async next() {
      await ready();
      return items.shift() as T;
    },
    get size() {
      return items.length;
    },
  };
}
