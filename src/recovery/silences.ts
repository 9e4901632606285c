/** Which failures were counted for a worker's silence alone, and may prove to be its line's. */
export class Silences {
  readonly #since = new Map<string, number>();

  /** Its silence was taken for a failure. */
  counted(workerId: string, mono: number): void {
    this.#since.set(workerId, mono);
  }

  /**
   * @param unreachedSeconds for how long what it said did not get here
   * @returns whether a failure was counted meanwhile: it is none then, and is taken back once
   */
  takeBack(workerId: string, unreachedSeconds: number, mono: number): boolean {
    const at = this.#since.get(workerId);
    return at !== undefined && mono - at <= unreachedSeconds * 1000 && this.#since.delete(workerId);
  }

  forget(workerId: string): void {
    this.#since.delete(workerId);
  }
}
