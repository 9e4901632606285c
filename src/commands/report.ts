import type { GlobalOptions } from '../cli.js';
import type { CheckpointFact } from '../policy/checkpoint.js';
import { type Incident, isIncident } from '../report/incident.js';
import { type FolderReport, reportRun } from '../report/report-run.js';
import { incidentNumbers, readIncident } from '../runs/incidents.js';
import type { Run } from '../runs/run-dir.js';
import { exitStatus, ok, type Problem, type Result } from '../util/result.js';
import { openForVerb } from './checkpoints-open.js';
import { placeOf } from './checkpoints-place.js';
import { chosenRun } from './find-run.js';
import { complain, refuse } from './refuse.js';
import { viewOf } from './status.js';

export type ReportOptions = GlobalOptions;

/**
 * `trainguard report [run]`: all of a run in Markdown, or as JSON. Exit 4: no such run. What of it cannot be read is
 * told on stderr and decides the exit status; the rest is shown.
 */
export async function report(name: string | undefined, options: ReportOptions): Promise<number> {
  const json = options.json === true;
  const found = await chosenRun(name, options);
  if (!found.ok) return refuse(found.error, json);
  const run = found.value;
  const status = await viewOf(run);
  if (!status.ok) return refuse(status.error, json);
  const { incidents, problems } = await readIncidents(run);
  complain(problems);
  const folders = await foldersOf(run, options);
  const files = filesOf(run, folders);
  if (json) {
    const data = {
      run: status.value,
      incidents,
      checkpoints: folders.map(asData),
      files: Object.fromEntries(files),
    };
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...data })}\n`);
  } else {
    const shown = folders.map((folder): FolderReport => ('facts' in folder ? rowsOf(folder) : folder));
    process.stdout.write(reportRun({ status: status.value, incidents, folders: shown, files }));
  }
  return Math.max(exitStatus.done, ...problems.map(({ exit }) => exit));
}

async function readIncidents(
  run: Run,
): Promise<{ readonly incidents: readonly Incident[]; readonly problems: readonly Problem[] }> {
  const numbers = incidentNumbers(run.paths.incidents);
  if (!numbers.ok) return { incidents: [], problems: [numbers.error] };
  const all: Result<Incident | undefined>[] = [];
  for (const number of numbers.value) all.push(await readIncident(run.paths.incidents, number, isIncident));
  return {
    incidents: all.flatMap((one) => (one.ok && one.value ? [one.value] : [])),
    problems: all.flatMap((one) => (one.ok ? [] : [one.error])),
  };
}

interface Folder {
  readonly dir: string;
  readonly layout: string;
  readonly vault: string | null;
  readonly facts: readonly CheckpointFact[];
}

/** What is known of the run's checkpoints; nothing is verified for it. */
async function foldersOf(
  run: Run,
  options: ReportOptions,
): Promise<readonly (Folder | { readonly problem: string })[]> {
  const place = await placeOf(run.name, options);
  if (!place.ok) return [{ problem: place.error.message }];
  const look = async (dir: string): Promise<Result<Folder>> => {
    const opened = await openForVerb(dir, place.value, options, true);
    if (!opened.ok) return opened;
    const { store, close } = opened.value;
    const { layout, vault = null } = store;
    const seen = await store.inspect({ live: place.value.active, budgetMs: 0 });
    await close();
    return seen.ok ? ok({ dir: store.dir, layout, vault, facts: seen.value.checkpoints }) : seen;
  };
  const folders: (Folder | { readonly problem: string })[] = [];
  for (const dir of place.value.dirs) {
    const folder = await look(dir);
    folders.push(folder.ok ? folder.value : { problem: folder.error.message });
  }
  return folders;
}

function rowsOf({ dir, vault, facts }: Folder): FolderReport {
  const now = Date.now();
  const rows = facts.map((fact) => {
    const step = fact.step ?? fact.number;
    return {
      ...{ id: fact.id, standing: fact.standing, why: fact.why, sizeBytes: fact.sizeBytes },
      ...{ ageMs: now - fact.modifiedAt, spare: fact.spare === true, pinned: fact.pinned === true },
      ...(step !== undefined && { step }),
    };
  });
  return { dir, vault, rows };
}

function asData(folder: Folder | { readonly problem: string }): unknown {
  if (!('facts' in folder)) return folder;
  const { facts, ...rest } = folder;
  const checkpoints = facts.map((fact) => ({
    ...{ id: fact.id, path: fact.path, step: fact.step ?? fact.number ?? null, standing: fact.standing },
    ...{ why: fact.why, sizeBytes: fact.sizeBytes, modifiedAt: new Date(fact.modifiedAt).toISOString() },
    spare: fact.spare === true,
  }));
  return { ...rest, checkpoints };
}

function filesOf(
  { dir, paths }: Run,
  folders: readonly (Folder | { readonly problem: string })[],
): readonly (readonly [string, string])[] {
  const vaults = folders.flatMap((folder) =>
    'facts' in folder && folder.vault !== null ? [folder.vault] : [],
  );
  return [
    ['run', dir],
    ['logs', paths.attempts],
    ['incidents', paths.incidents],
    ['journal', paths.journal],
    ['metrics', paths.metrics],
    ['supervisorLog', paths.log],
    ...vaults.map((vault, at): [string, string] => [at === 0 ? 'vault' : `vault${at + 1}`, vault]),
  ];
}
