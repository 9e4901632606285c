/** What of a test's context the helpers need: `t` of node:test, or `{ after }` within a suite. */
export interface TestEnd {
  after(callback: () => Promise<void>): void;
}

type Step = () => void | Promise<void>;

const stepsOf = new WeakMap<TestEnd, Step[]>();

/**
 * Does something when the test ends. Last come, first done: processes end before the folder they write to goes.
 * All are done, also after one that threw; the first error is the one told.
 */
export function atEnd(t: TestEnd, step: Step): void {
  const known = stepsOf.get(t);
  if (known !== undefined) {
    known.push(step);
    return;
  }
  const steps = [step];
  stepsOf.set(t, steps);
  t.after(async () => {
    const errors: unknown[] = [];
    for (const each of steps.reverse()) {
      try {
        await each();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
}
