import type { StateName } from '../policy/state.js';
import type { Incident } from '../report/incident.js';
import { type Line, narrate, type Telling } from '../report/narrate.js';
import { attemptDirOf } from '../runs/run-dir.js';
import type { Happening } from '../supervisor/parts.js';
import type { LogOffsets } from '../supervisor/ports.js';
import type { Echo } from './echo.js';
import { isUnderWay } from './inheritance.js';
import type { Output } from './output.js';
import type { Tether } from './tether.js';

/** Where a run that was started in the background can be left to itself. */
const underwayStates: ReadonlySet<StateName> = new Set(['running', 'stopping', 'backing-off', 'waiting']);

/** Whom a run's happenings are told to. */
export interface Audience {
  readonly runDir: string;
  readonly telling: Telling;
  readonly json: boolean;
  readonly output: Output;
  readonly echo: Echo;
  readonly tether: Tether | undefined;
  /** How far an earlier supervisor had shown the attempt that is taken over. */
  readonly shown: LogOffsets | undefined;
  log(line: Line): void;
  /** Keeps the run's incidents. @returns the one that the happening changed, if it did */
  note(happening: Happening): Incident | undefined;
}

/** Tells each happening: in words, as JSON, in the log, to whoever started us; and shows the attempt's output. */
export function createObserver(audience: Audience): (happening: Happening) => void {
  const { runDir, telling, json, output, echo, tether } = audience;
  return (happening) => {
    const { event, after } = happening;
    const { attempt } = after.ledger;
    if (event.type === 'launched') echo.follow(attemptDirOf(runDir, attempt));
    if (event.type === 'adopted') echo.follow(attemptDirOf(runDir, attempt), audience.shown);
    if (event.type === 'exited') echo.attemptEnded();
    const lines = narrate(telling, happening, audience.note(happening));
    output.say(lines);
    for (const line of lines) audience.log(line);
    // whoever takes over an attempt has yet to find it
    const adopting = event.type === 'started' && isUnderWay(after);
    if (tether && underwayStates.has(after.name) && !adopting) {
      const underway = { run: telling.run, pid: process.pid, state: after.name, attempt };
      tether.say({ type: 'underway', underway });
    }
    if (json) output.json({ ...event, at: new Date(event.at).toISOString(), state: after.name, attempt });
  };
}
