import { foldIncidents, type IncidentBook, type IncidentPlaces } from '../../src/report/incident-fold.js';
import type { Incident } from '../../src/report/incident.js';
import { throughJson } from '../policy/kit.js';
import { type Simulation, simulate } from '../policy/simulation.js';

export const places: IncidentPlaces = {
  run: 'train',
  attemptDir: (attempt) => `/runs/train/attempts/${String(attempt).padStart(3, '0')}`,
  vault: () => '/.ckpts.trainguard',
};

/** A run in virtual time whose incidents are kept. */
export interface Watched {
  readonly sim: Simulation;
  /** What is on disk, by number. */
  readonly written: Map<number, Incident>;
  /** How often something was written. */
  writes(): number;
  /** The supervisor dies, and another one reads what is on disk. */
  restart(): void;
}

export function watched(sim: Simulation = simulate()): Watched {
  let book: IncidentBook = { next: 1, open: [] };
  const written = new Map<number, Incident>();
  let writes = 0;
  const post = sim.post.bind(sim);
  sim.post = (untimed) => {
    const before = sim.state;
    const effectsBefore = sim.effects.length;
    const types = post(untimed);
    const event = sim.journal.at(-1);
    if (!event) throw new Error('nothing was journalled');
    const effects = sim.effects.slice(effectsBefore);
    const folded = foldIncidents(places, book, { event, before, after: sim.state, effects });
    book = folded.book;
    for (const incident of folded.changed) written.set(incident.number, incident);
    writes += folded.changed.length;
    return types;
  };
  return {
    sim,
    written,
    writes: () => writes,
    restart() {
      const read = throughJson([...written.values()]);
      book = { next: written.size + 1, open: read.filter(({ outcome }) => outcome === null) };
      sim.post({ type: 'started', bootId: 'boot-1' });
    },
  };
}

/** The incident of that number, which must be there. */
export function incidentOf({ written }: Watched, number: number): Incident {
  const incident = written.get(number);
  if (!incident) throw new Error(`there is no incident ${number}`);
  return incident;
}
