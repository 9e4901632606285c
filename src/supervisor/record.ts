import type { Event } from '../policy/event.js';
import { errorText } from '../util/os/durable.js';
import type { Parts } from './parts.js';

/** Writes events down, in order; what the disk would not take is kept and goes first the next time. */
export interface Recorder {
  /** @returns whether this event, and all before it, are on disk */
  record(event: Event): Promise<boolean>;
  /** Tries again what is left. @returns whether nothing is */
  retry(): Promise<boolean>;
}

export function createRecorder(parts: Pick<Parts, 'persist' | 'notice'>): Recorder {
  let unsaved: Event[] = [];
  let failing = false;

  async function save(): Promise<boolean> {
    if (unsaved.length === 0) return true;
    try {
      await parts.persist(unsaved);
      unsaved = [];
      failing = false;
      return true;
    } catch (error) {
      if (!failing) parts.notice(`${errorText(error)}; the run goes on, and it is tried again`);
      failing = true;
      return false;
    }
  }

  return {
    record(event) {
      unsaved.push(event);
      return save();
    },
    retry: save,
  };
}
