import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import type { TestEnd } from '../support/cleanup.js';
import { digestOf, digitsScript, runDigits } from '../support/digits.js';
import { pythonPath } from '../support/python.js';
import { runCli, type CliOptions, type Ended, type Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';

/** The digits training as a command: short, without a word of its own about where its checkpoints go. */
export const digits = (...args: readonly string[]): readonly string[] => [
  pythonPath(),
  digitsScript,
  ...args,
];

/** What most runs of these tests have in common. */
export const quickly = ['--checkpoint-dir', 'ckpts', '--backoff-initial', '0.05'] as const;

export interface GuardOptions extends CliOptions {
  readonly cwd: string;
  /** Flags of `run` besides {@link quickly}. */
  readonly flags?: readonly string[];
  /** Events as JSON on stdout instead of words. */
  readonly json?: boolean;
}

/** `trainguard run` of a command, quickly. */
export function guard(t: TestEnd, command: readonly string[], options: GuardOptions): Running {
  const { flags = [], json = true, ...rest } = options;
  return runCli(t, ['run', ...(json ? ['--json'] : []), ...quickly, ...flags, '--', ...command], rest);
}

/** One line of `run --json`. */
export interface JsonEvent {
  readonly type: string;
  readonly at: string;
  readonly mono: number;
  readonly state: string;
  readonly attempt: number;
  readonly [key: string]: unknown;
}

/** Every line of stdout, each of which must be one JSON object. */
export function eventsOf(stdout: string): readonly JsonEvent[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const value: unknown = JSON.parse(line);
      assert.ok(value !== null && typeof value === 'object' && !Array.isArray(value), line);
      return value as JsonEvent;
    });
}

export const ofType = (ended: Pick<Ended, 'stdout'>, type: string): readonly JsonEvent[] =>
  eventsOf(ended.stdout).filter((event) => event.type === type);

/** The last line of `run --json`, which must be its summary. */
export function summaryOf(ended: Ended): Summary {
  const last = eventsOf(ended.stdout).at(-1);
  assert.equal(last?.type, 'summary', ended.stderr);
  return last as unknown as Summary;
}

export interface Summary {
  readonly outcome: string;
  readonly exitCode: number;
  readonly run: RunView;
}

/** A run as `status --json` and the summary show it, as far as these tests look. */
export interface RunView {
  readonly run: string;
  readonly state: string;
  readonly pid: number | null;
  readonly attempt: number;
  readonly retriesUsed: number;
  readonly maxRetries: number;
  readonly totalFailures: number;
  readonly step: number | null;
  readonly checkpoint: Readonly<
    Record<'latest' | 'safe', { readonly id: string; readonly standing: string } | null>
  >;
  readonly lastRecoveryStatus: string | null;
  readonly failures: readonly {
    readonly attempt: number;
    readonly kind: string;
    readonly reason: string;
    readonly step: number | null;
    readonly exitCode: number | null;
    readonly signal: string | null;
    readonly action: string;
    readonly rolledBackTo: string | null;
  }[];
}

/** Kinds of the failures of a run, oldest first. */
export const kindsOf = (run: RunView): readonly string[] => run.failures.map(({ kind }) => kind);

/** `trainguard status --json` of one run. */
export async function statusOf(t: TestEnd, cwd: string, run: string): Promise<RunView> {
  const { code, stdout, stderr } = await runCli(t, ['status', run, '--json'], { cwd }).done;
  assert.equal(code, 0, stderr);
  const [view] = (JSON.parse(stdout) as { runs: RunView[] }).runs;
  assert.ok(view, `no run ${run} in ${stdout}`);
  return view;
}

/** The digest that the training of these arguments ends with when nothing disturbs it. */
export async function digestInPeace(t: TestEnd, ...args: readonly string[]): Promise<string> {
  return digestOf((await runDigits(t, args, { cwd: tempDir(t) }).done).stdout);
}

/** The training's own output, wherever `run` passed it on to. */
export const digestThrough = (ended: Ended): string => digestOf(`${ended.stdout}\n${ended.stderr}`);

/** Everything below a folder: path → kind, mode, size and content. Equal trees: nothing was written, moved or lost. */
export function treeOf(dir: string): Readonly<Record<string, string>> {
  const entries = readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(entries.map((name) => [name, fingerprint(path.join(dir, name))]));
}

function fingerprint(file: string): string {
  const stat = lstatSync(file);
  const mode = (stat.mode & 0o7777).toString(8);
  if (stat.isSymbolicLink()) return `link to ${readlinkSync(file)}`;
  if (stat.isDirectory()) return `folder ${mode}`;
  if (!stat.isFile()) return `other ${mode}`;
  return `file ${mode} ${stat.mtimeMs} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
}

/** The checkpoints in `ckpts`, by name. */
export const checkpointsIn = (cwd: string): readonly string[] => readdirSync(path.join(cwd, 'ckpts')).sort();

/** What lies in quarantine: name → full path. */
export function quarantineOf(cwd: string): Readonly<Record<string, string>> {
  const folder = path.join(cwd, '.ckpts.trainguard', 'quarantine');
  return Object.fromEntries(
    readdirSync(folder).flatMap((tx) =>
      readdirSync(path.join(folder, tx)).map((name) => [name, path.join(folder, tx, name)] as const),
    ),
  );
}
