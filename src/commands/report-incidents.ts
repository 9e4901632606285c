import { type FiledIncident, type Incident, isIncident } from '../report/incident.js';
import { foldIncidents, type IncidentBook, type IncidentPlaces } from '../report/incident-fold.js';
import { incidentText } from '../report/incident-text.js';
import { incidentFile, incidentNumbers, readIncident, writeIncident } from '../runs/incidents.js';
import type { Happening } from '../supervisor/parts.js';
import { sweepTemporaries } from '../util/os/durable.js';
import { maskDeep } from './report-mask.js';

/** Keeps the incidents of a run on disk as things happen. */
export interface IncidentKeeper {
  /** Takes note of a happening; writes in the background. @returns the incident that it changed last, if it did */
  note(happening: Happening): Incident | undefined;
  /** The newest incident of the run, of this start or an earlier one. */
  readonly last: FiledIncident | undefined;
  /** Where the incident of an attempt of this start is, as text. */
  fileOf(attempt: number): string | undefined;
  /** Writes what is left to write, once more. */
  close(): Promise<void>;
}

/** How many of the newest incidents an earlier supervisor may have left open. */
const mostReread = 50;

/**
 * Opens the incidents of a run where an earlier supervisor left them. Nothing here ever stops or delays a run: what
 * cannot be read is passed over, what cannot be written is tried again at the next change, and said once.
 */
export async function keepIncidents(
  dir: string,
  places: IncidentPlaces,
  notice: (text: string) => void,
): Promise<IncidentKeeper> {
  let troubled = false;
  const complain = (text: string): void => {
    if (!troubled) notice(`${text}; the run goes on, but its incidents may not be complete`);
    troubled = true;
  };
  // of a supervisor that was killed over it
  await sweepTemporaries(dir);
  const numbers = incidentNumbers(dir);
  if (!numbers.ok) complain(numbers.error.message);
  const all = numbers.ok ? numbers.value : [];
  const earlier: Incident[] = [];
  for (const number of all.slice(-mostReread)) {
    const read = await readIncident(dir, number, isIncident);
    if (!read.ok) complain(read.error.message);
    else if (read.value) earlier.push(read.value);
  }
  let book: IncidentBook = {
    next: (all.at(-1) ?? 0) + 1,
    open: earlier.filter(({ outcome }) => outcome === null),
  };
  let last = earlier.at(-1);
  const numberOf = new Map(earlier.map(({ attempt, number }) => [attempt, number]));
  const unwritten = new Map<number, Incident>();
  let writing: Promise<void> | undefined;

  async function write(): Promise<void> {
    for (;;) {
      const [incident] = unwritten.values();
      if (!incident) return;
      const written = await writeIncident(dir, incident, incidentText(incident));
      if (!written.ok) {
        complain(written.error.message);
        return;
      }
      troubled = false;
      // it may have changed again meanwhile
      if (unwritten.get(incident.number) === incident) unwritten.delete(incident.number);
    }
  }

  function begin(): Promise<void> {
    writing ??= write().finally(() => {
      writing = undefined;
    });
    return writing;
  }

  return {
    note(happening) {
      const folded = foldIncidents(places, book, happening);
      book = folded.book;
      for (const incident of folded.changed) {
        const shown = maskDeep(incident);
        unwritten.set(shown.number, shown);
        numberOf.set(shown.attempt, shown.number);
        if (!last || shown.number >= last.number) last = shown;
      }
      if (unwritten.size > 0) void begin();
      return folded.changed.at(-1);
    },
    get last() {
      return last && { ...last, file: incidentFile(dir, last.number, 'md') };
    },
    fileOf(attempt) {
      const number = numberOf.get(attempt);
      return number === undefined ? undefined : incidentFile(dir, number, 'md');
    },
    async close() {
      await writing;
      if (unwritten.size > 0) await begin();
    },
  };
}
