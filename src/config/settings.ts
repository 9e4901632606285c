import type { Config } from './schema.js';

/** `checkpoints.keep`: what of the vault's spares, and of the folder itself if `folder`, is kept. */
export interface KeepSettings {
  readonly last: number;
  readonly everySteps?: number;
  readonly everyMs?: number;
  readonly best?: { readonly count: number; readonly metric: string; readonly mode: 'min' | 'max' };
  readonly withinMs?: number;
  readonly bytes?: number;
  readonly folder: boolean;
  readonly quarantine: { readonly last: number; readonly withinMs: number; readonly bytes?: number };
}

/** A command of the user's: program and arguments, which no shell sees. */
export interface UserCommand {
  readonly argv: readonly [string, ...string[]];
  readonly timeoutMs: number;
}

/** `hooks`: what is called when. */
export type HookSettings = Readonly<Partial<Record<keyof NonNullable<Config['hooks']>, UserCommand>>>;

/** All that a run needs and no decision rests on. Paths absolute, times in ms, sizes in bytes. */
export interface Settings {
  readonly stateDir: string;
  readonly name?: string;
  readonly command?: readonly string[];
  readonly engine: 'local' | 'slurm' | 'ray';
  readonly stdin: 'null' | 'inherit';
  readonly checkpoints: {
    /** As named; may hold globs, or URLs, which are not taken. Empty: to be looked for. */
    readonly dirs: readonly string[];
    readonly layout?: string;
    readonly vault?: string;
    /** undefined: by the kind of file system. */
    readonly settleMs?: number;
    readonly provenAfterMs: number;
    readonly verify: 'auto' | 'deep' | 'shallow';
    readonly include: readonly string[];
    readonly clean: readonly string[];
    readonly keep: KeepSettings;
  };
  /** `--resume-args` goes before `args`. `{path}` and `{step}` in arguments and values stand for the checkpoint; replaced one argument at a time. */
  readonly resume: {
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    /** A layout whose framework's way of resuming is taken where nothing else is said; `auto`: that of the folder. */
    readonly preset?: string;
    /** Arguments of the command, and what each becomes when there is a checkpoint. */
    readonly replace: Readonly<Record<string, string>>;
  };
  readonly heartbeat: { readonly pattern?: string; readonly files: readonly string[] };
  readonly logs: {
    readonly attemptBytes: number;
    readonly runBytes: number;
    readonly attempts: number;
    readonly dir?: string;
  };
  readonly preflight: readonly UserCommand[];
  readonly hooks: HookSettings;
  /** URLs and commands; a command as one text, or as its list of arguments. */
  readonly notify: readonly (string | readonly string[])[];
  /** Where workers report by HTTP; undefined: nowhere. */
  readonly serve?: ServeSettings;
}

/** `serve`: where workers report by HTTP. Paths absolute. */
export interface ServeSettings {
  /** 0, or none: one that is free. */
  readonly port?: number;
  readonly host?: string;
  readonly allowHosts?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly insecure?: boolean;
}
