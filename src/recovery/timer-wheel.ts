/** Slots a turn: with slots of 50 ms, 25.6 s; what is due later waits in its slot for the turn that it belongs to. */
const slotsPerTurn = 512;

/**
 * Deadlines of many keys under one timer: a ring of slots, each the keys that fall due within its `slotMs` (a hashed
 * timing wheel, Varghese and Lauck 1987). Setting, moving and deleting cost the same however many there are, and what is
 * due is found without looking at the rest. Time comes in: ms of any clock that does not go back.
 */
export class TimerWheel {
  readonly #slotMs: number;
  readonly #ring = Array.from({ length: slotsPerTurn }, () => new Set<string>());
  /** In which slot each key lies, counted from the clock's zero and not only within the turn. */
  readonly #slotOf = new Map<string, number>();
  /** Up to here all slots were handed out. */
  #passed = -Infinity;

  /** @param slotMs how much later than due a key may be handed out */
  constructor(slotMs: number) {
    this.#slotMs = slotMs;
  }

  /** How many keys have a deadline. */
  get size(): number {
    return this.#slotOf.size;
  }

  /** Gives a key its only deadline, ms; one in the past is due at the next slot. */
  set(key: string, dueMono: number): void {
    const slot = Math.max(Math.ceil(dueMono / this.#slotMs), this.#passed + 1);
    const before = this.#slotOf.get(key);
    if (before === slot) return;
    if (before !== undefined) this.#at(before).delete(key);
    this.#at(slot).add(key);
    this.#slotOf.set(key, slot);
  }

  delete(key: string): void {
    const slot = this.#slotOf.get(key);
    if (slot === undefined) return;
    this.#at(slot).delete(key);
    this.#slotOf.delete(key);
  }

  /** Takes out every key whose deadline has come, the earliest first; none comes before its deadline. */
  due(mono: number): string[] {
    const now = Math.floor(mono / this.#slotMs);
    const due: { key: string; slot: number }[] = [];
    // one turn passes every slot, however long it was since the last call
    for (let slot = Math.max(this.#passed + 1, now - slotsPerTurn + 1); slot <= now; slot++) {
      for (const key of this.#at(slot)) {
        const own = this.#slotOf.get(key) ?? slot;
        if (own > now) continue; // a later turn's
        due.push({ key, slot: own });
        this.delete(key);
      }
    }
    this.#passed = Math.max(this.#passed, now);
    return due.sort((a, b) => a.slot - b.slot).map(({ key }) => key);
  }

  #at(slot: number): Set<string> {
    // % keeps the sign: slots before the clock's zero have a place too
    const place = ((slot % slotsPerTurn) + slotsPerTurn) % slotsPerTurn;
    return this.#ring[place] as Set<string>;
  }
}
