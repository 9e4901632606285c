/** The first things of a sort and the last ones, as they come; those between are only counted. */
export class Kept<T> {
  private readonly first: T[] = [];
  private last: T[] = [];
  private readonly most: number;
  /** How many were not kept. */
  passedOver = 0;

  /** @param most so many of the first, and so many of the last */
  constructor(most: number) {
    this.most = most;
  }

  get all(): readonly T[] {
    return [...this.first, ...this.last];
  }

  /** Of what is about to come: what will be kept, so that nothing is made of the rest. */
  choose<U>(coming: readonly U[]): readonly U[] {
    const room = this.most - this.first.length;
    if (coming.length <= room + this.most) return coming;
    this.passedOver += coming.length - room - this.most;
    return [...coming.slice(0, room), ...coming.slice(-this.most)];
  }

  add(one: T): void {
    if (this.first.length < this.most) this.first.push(one);
    else this.last.push(one);
    if (this.last.length <= this.most) return;
    this.last = this.last.slice(1);
    this.passedOver++;
  }
}
