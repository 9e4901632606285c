import type { Policy } from '../policy/policy.js';
import type { LogsKeep } from './run-parts.js';
import type { ResumeRecipe } from './resume.js';

/** Where a run's checkpoints are thought to be. */
export interface CheckpointPlan {
  readonly dir: string;
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
  readonly settleMs?: number;
  readonly resume: ResumeRecipe;
  readonly stdin: 'null' | 'inherit';
  readonly logs: LogsKeep;
  /** The configuration that was found. */
  readonly configFile?: string;
  /** What a person should know of the configuration. */
  readonly notices: readonly string[];
}
