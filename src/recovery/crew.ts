/**
 * Which of a training's workers speaks for it as a whole, as rank 0 does for ranks: the first that was registered,
 * until it fails or is gone, then the next. For a supervisor that judges one training by the beats of several.
 */
export class Crew {
  /** In the order of registration; true: it counts. */
  readonly #present = new Map<string, boolean>();
  readonly #numbers = new Map<string, number>();
  #lead: string | undefined;
  #registered = 0;

  /** Nobody is left, or nobody came yet. */
  get isEmpty(): boolean {
    return this.#present.size === 0;
  }

  /** It was registered, came back, or beats: then it is there, whatever else is known of it. */
  joined(workerId: string): void {
    if (!this.#numbers.has(workerId)) this.#numbers.set(workerId, ++this.#registered);
    this.#present.set(workerId, true);
    this.#lead ??= workerId;
  }

  /** It failed: until it comes back another speaks. */
  failed(workerId: string): void {
    if (!this.#present.has(workerId)) return;
    this.#present.set(workerId, false);
    if (this.#lead === workerId) this.#lead = this.#first();
  }

  /** It has done its part. */
  left(workerId: string): void {
    this.#present.delete(workerId);
    this.#numbers.delete(workerId);
    if (this.#lead === workerId) this.#lead = this.#first();
  }

  /** The rank that its beats bear; undefined: it is alone, or none of us. */
  rankOf(workerId: string): number | undefined {
    if (this.#present.size < 2 || !this.#numbers.has(workerId)) return undefined;
    return workerId === this.#lead ? 0 : this.#numbers.get(workerId);
  }

  #first(): string | undefined {
    for (const [workerId, isPresent] of this.#present) if (isPresent) return workerId;
    return undefined;
  }
}
