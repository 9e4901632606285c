import type { HookSettings, KeepSettings, ServeSettings, UserCommand } from '../config/resolve.js';
import type { Patterns } from '../config/check-patterns.js';
import type { Policy } from '../policy/policy.js';
import type { NotifyTarget } from './notify-target.js';
import type { LogsKeep } from './run-parts.js';
import type { ResumeWish } from './resume-plan.js';

/** Where a run's checkpoints are thought to be. */
export interface CheckpointPlan {
  /** Absolute; globs among them. Several are rolled back to one step. Never empty. */
  readonly dirs: readonly [string, ...string[]];
  /** Found, not named: what this run did not write is not moved. */
  readonly guessed: boolean;
  readonly layout: string;
  readonly vault?: string;
  /** How it was found: `--checkpoint-dir`, `--output_dir of the command`… */
  readonly words: string;
}

/** A run as it was asked for: flags over configuration over defaults. Nothing is written yet. */
export interface RunPlan {
  /** undefined: the script's stem. */
  readonly name?: string;
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly stateDir: string;
  readonly policy: Policy;
  readonly checkpoints?: CheckpointPlan;
  /** `checkpoints.include` and `checkpoints.clean`: absolute, globs among the latter. */
  readonly aside?: { readonly include: readonly string[]; readonly clean: readonly string[] };
  readonly settleMs?: number;
  /** How much of each checkpoint is read; undefined: `auto`. */
  readonly verify?: 'auto' | 'deep' | 'shallow';
  /** What retention keeps; undefined: as usual. */
  readonly keep?: KeepSettings;
  readonly resume: ResumeWish;
  readonly stdin: 'null' | 'inherit';
  readonly logs: LogsKeep;
  /** What is asked before a retry, in this order. */
  readonly preflight: readonly UserCommand[];
  readonly hooks: HookSettings;
  readonly notify: readonly NotifyTarget[];
  /** Where workers report by HTTP; undefined: nowhere. */
  readonly serve?: ServeSettings;
  /** What of the output counts as progress besides what is recognised, and files whose growth is life (globs, absolute). */
  readonly heartbeat: { readonly pattern?: string; readonly files: readonly string[] };
  /** The configuration's expressions, compiled, by their source. */
  readonly patterns?: Patterns;
  /** The configuration that was found. */
  readonly configFile?: string;
  /** What a person should know of the configuration. */
  readonly notices: readonly string[];
}
