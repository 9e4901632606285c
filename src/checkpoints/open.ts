import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { CheckpointStore } from '../supervisor/ports.js';
import { bootId } from '../util/os/boot.js';
import type { Stamp } from '../util/os/dir-walk.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { Origin, readBaseline, writeBaseline } from './baseline.js';
import type { ContentRules } from './judge-content.js';
import { Pins } from './pins.js';
import { describeAmbiguity, type LayoutName } from './layouts/registry.js';
import { Manifests } from './manifest.js';
import { type Scan, Scanner } from './scan.js';
import type { KeepRules } from './retention/decide.js';
import type { MetricAt } from './retention/keeper.js';
import { usualRules } from './retention/retention.js';
import { Shelf } from './spares/shelf.js';
import { readRate, settleTime } from './settle.js';
import { Standings } from './standings.js';
import { Store } from './store.js';
import type { VerifyMode } from './verify/depth.js';
import { findVault, inVault, placeVault } from './vault.js';
import { makeDirs } from '../util/os/make-dirs.js';

export interface OpenOptions {
  readonly dir: string;
  /** The folder was found, not named. */
  readonly guessed: boolean;
  readonly layout: 'auto' | LayoutName;
  /** `--vault DIR`. */
  readonly vault?: string;
  /** How long a checkpoint is unchanged before it counts as written; 2 s, 90 s on network file systems. */
  readonly settleMs?: number;
  /** How much of each checkpoint is read; `auto` unless given. */
  readonly verify?: VerifyMode;
  /** What NaN among a checkpoint's weights means; `rollback` unless given. */
  readonly nonFinite?: 'rollback' | 'warn';
  /** What of the vault's spares is kept, and of the folder if told so; the newest two and the floor unless given. */
  readonly keep?: KeepRules;
  /** What a metric was at a step, for who keeps the best ones. */
  readonly metrics?: (name: string) => Promise<MetricAt>;
  /** Healthy time after which a checkpoint may be safe; 2 minutes by default of the configuration. */
  readonly provenAfterMs: number;
  readonly runId: string;
  /** ms since 1970. */
  readonly runStartedAt: number;
  /** An attempt of the run may have made the folder: what is younger than the run was written by it. */
  readonly appeared?: boolean;
  readonly clock: { now(): number; mono(): number };
  /** Which boot of the host this is; found out unless given. */
  readonly bootId?: string;
  /** Write nothing at all: for `status` and `--dry-run`. A missing folder is then an empty one. */
  readonly readOnly?: boolean;
  /** Something a person should know. */
  onNotice(text: string): void;
}

/**
 * Opens a checkpoint folder with its vault, making both where they are missing.
 * @returns exit 78 for a URL, a file, a folder that cannot be written, or a vault that cannot be placed
 */
export async function openCheckpointStore(options: OpenOptions): Promise<Result<CheckpointStore>> {
  const readOnly = options.readOnly ?? false;
  const notice = (text: string): void => options.onNotice(text);
  try {
    // a guess is no reason to make a folder: the script may want to make it itself
    const folder = await openFolder(options.dir, readOnly, !readOnly && !options.guessed);
    if (!folder.ok) return folder;
    const dir = folder.value;
    const scanner = new Scanner(dir, options.layout);
    const { layout, alsoMatches } = await scanner.scan(() => false);
    const ambiguity = describeAmbiguity(dir, { layout, alsoMatches });
    if (ambiguity !== undefined) notice(ambiguity);
    const wish = {
      dir,
      bearsDotName: layout.bearsDotName,
      ...(options.vault === undefined ? {} : { named: options.vault }),
    };
    const vault = readOnly ? ok(await findVault(wish)) : await placeVault(wish, notice);
    if (!vault.ok) return vault;
    const origin = await originOf(vault.value, scanner, options);
    const manifests = new Manifests(vault.value && path.join(vault.value, inVault.manifests), notice);
    const { clock, guessed, runId } = options;
    const standings = new Standings(manifests, options.provenAfterMs, clock, options.bootId ?? bootId());
    const shelf = new Shelf(vault.value, notice);
    if (!readOnly) await manifests.prune(new Set((await shelf.list()).flatMap((one) => [one.id, one.of])));
    const pins = new Pins(vault.value, notice);
    const settleMs = options.settleMs ?? (await settleTime(dir));
    const content = await contentRules(dir, options);
    const retention = {
      keep: options.keep ?? usualRules,
      ...(options.metrics && { metrics: options.metrics }),
    };
    return ok(
      new Store({ dir, guessed, vault: vault.value, scanner, layout, standings, shelf, pins, origin, runId, settleMs, content, ...retention, clock, notice, readOnly }), // prettier-ignore
    );
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return fail(
      `the checkpoint folder ${options.dir} cannot be opened: ${errorText(error)}`,
      exitStatus.config,
      code,
    );
  }
}

async function contentRules(
  dir: string,
  { verify = 'auto', nonFinite = 'rollback' }: OpenOptions,
): Promise<ContentRules> {
  const readBytesPerS = await readRate(dir);
  return { verify, nonFinite, ...(readBytesPerS === undefined ? {} : { readBytesPerS }) };
}

/** @returns its real path, so that a link that is turned elsewhere meanwhile changes nothing */
async function openFolder(given: string, readOnly: boolean, make: boolean): Promise<Result<string>> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(given)?.[1];
  if (scheme !== undefined) {
    const message = `the checkpoint folder ${given} is remote: ${scheme}:// is not read by this version (checkpoints.remote); sync it to a local folder and name that with --checkpoint-dir`;
    return fail(message, exitStatus.config);
  }
  if (given === '')
    return fail(
      'the checkpoint folder has an empty name; give a folder to --checkpoint-dir',
      exitStatus.config,
    );
  const dir = path.resolve(given);
  const refuse = (why: string, code?: string): Result<never> =>
    fail(`the checkpoint folder ${given} ${why}`, exitStatus.config, code);
  try {
    if (make) await makeDirs(dir);
    if (!(await fs.stat(dir)).isDirectory())
      return refuse('is a file; name the folder it lies in', 'ENOTDIR');
    await fs.access(
      dir,
      readOnly ? constants.R_OK | constants.X_OK : constants.R_OK | constants.W_OK | constants.X_OK,
    );
    return ok(await fs.realpath(dir));
  } catch (error) {
    const code = errorCode(error);
    if (!make && code === 'ENOENT') return ok(dir);
    if (code === 'EEXIST' || code === 'ENOTDIR')
      return refuse('is a file, or lies below one; name a folder', code);
    if (code === 'EACCES' || code === 'EPERM')
      return refuse('cannot be read and written: no permission', code);
    if (code === 'EROFS') return refuse('lies on a read-only file system', code);
    if (code === undefined) throw error;
    return refuse(`cannot be used: ${errorText(error)}`, code);
  }
}

async function originOf(vault: string | undefined, scanner: Scanner, options: OpenOptions): Promise<Origin> {
  if (vault === undefined) return new Origin(undefined, options.runStartedAt);
  const known = await readBaseline(vault, options.runId, (text) => options.onNotice(text));
  if (known || options.readOnly) return new Origin(known, options.runStartedAt);
  const found = await scanner.scan(() => false);
  const before = options.appeared ? olderThan(options.runStartedAt, found) : found;
  const first = await writeBaseline(vault, options.runId, options.clock.now(), before);
  return new Origin(first, options.runStartedAt);
}

function olderThan(startedAt: number, scan: Scan): Scan {
  const isOlder = (stamp: Stamp): boolean => stamp.ctimeMs < startedAt;
  const units = scan.units.map((unit) => ({ ...unit, files: unit.files.filter(isOlder) }));
  return { ...scan, units, entries: scan.entries.filter(isOlder) };
}
