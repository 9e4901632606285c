import { readLiving, readProcText, type ProcInfo } from '../../util/os/proc.js';
import { sendSignal } from '../../util/os/signals.js';
import type { Job } from './job.js';

/** Kills, and tells of what will not die. */
export interface Killer {
  strike(targets: readonly ProcInfo[]): void;
}

/** How long a killed process may take to go before it is called stuck: freeing a big memory takes a while, ms. */
const stuckAfterMs = 2000;

export function createKiller({ clock, events }: Pick<Job, 'clock' | 'events'>): Killer {
  const firstStruck = new Map<number, number>();
  const told = new Set<number>();
  return {
    strike(targets) {
      for (const target of targets) {
        const sent = sendSignal(target, 'SIGKILL');
        if (sent === 'gone') continue;
        const since = firstStruck.get(target.pid) ?? clock.mono();
        firstStruck.set(target.pid, since);
        const stuck = sent === 'denied' || clock.mono() - since >= stuckAfterMs;
        if (!stuck || told.has(target.pid)) continue;
        told.add(target.pid);
        events.stuck(target.pid, sent === 'denied' ? 'not permitted to kill it' : whereItWaits(target));
      }
    },
  };
}

function whereItWaits(target: ProcInfo): string {
  const wchan = readProcText(`/proc/${target.pid}/wchan`)?.trim();
  if (wchan !== undefined && wchan !== '' && wchan !== '0') return wchan;
  return `state ${readLiving(target)?.state ?? target.state}`;
}
