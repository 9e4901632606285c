import path from 'node:path';
import type { FailureRule, Policy } from '../policy/policy.js';
import { defaults } from './defaults.js';
import type { Config } from './schema.js';
import type { KeepSettings, ServeSettings, Settings, UserCommand } from './settings.js';
import { resolveStateDir, type Surroundings } from './state-dir.js';

export type { Surroundings } from './state-dir.js';
export type * from './settings.js';

/** The flags of `run` that the configuration has keys for, as the command line's parser leaves them: times in ms. */
export interface RunFlags {
  readonly name?: string;
  readonly stateDir?: string;
  readonly checkpointDir?: readonly string[];
  readonly layout?: string;
  readonly vault?: string;
  readonly maxRetries?: number;
  readonly backoffInitial?: number;
  readonly backoffMax?: number;
  readonly heartbeatTimeout?: number;
  readonly startupTimeout?: number;
  readonly stopGrace?: number;
  /** Only false says something: true is also what stands there without the flag. */
  readonly rollback?: boolean;
  readonly allowScratch?: boolean;
  readonly notify?: readonly string[];
  readonly stdin?: boolean;
  /** `--serve`, with a port or without. */
  readonly serve?: number | true;
  readonly engine?: Settings['engine'];
}

/** Everything that decides: flags over configuration over defaults. */
export function resolvePolicy(config: Config, flags: RunFlags = {}): Policy {
  const { backoff, heartbeat, health, stop, checkpoints } = config;
  const initialMs = flags.backoffInitial ?? backoff?.initial ?? defaults.backoff.initialMs;
  const stopOnRepeat = config.stopOnRepeat ?? defaults.stopOnRepeat;
  const startupTimeoutMs = fixedTimeout(flags.startupTimeout ?? heartbeat?.startupTimeout);
  const timeoutMs = fixedTimeout(flags.heartbeatTimeout ?? heartbeat?.timeout);
  return {
    maxRetries: flags.maxRetries ?? config.maxRetries ?? defaults.maxRetries,
    ...(config.maxTotalRetries !== undefined && { maxTotalRetries: config.maxTotalRetries }),
    ...(typeof stopOnRepeat === 'number' && { stopOnRepeat }),
    outageWindowMs: config.outageWindow ?? defaults.outageWindowMs,
    rollbackEnabled: flags.rollback !== false && (config.rollbackEnabled ?? defaults.rollbackEnabled),
    allowScratch: flags.allowScratch ?? config.allowScratch ?? defaults.allowScratch,
    backoff: {
      initialMs,
      factor: backoff?.factor ?? defaults.backoff.factor,
      // who asks for a longer first wait than the usual longest one gets it
      maxMs: flags.backoffMax ?? backoff?.max ?? Math.max(defaults.backoff.maxMs, initialMs),
      jitter: backoff?.jitter ?? defaults.backoff.jitter,
    },
    silence: {
      ...(startupTimeoutMs !== undefined && { startupTimeoutMs }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    },
    health: {
      nonFinite: health?.nonFinite ?? defaults.health.nonFinite,
      spike: health?.spike ?? defaults.health.spike,
      notResumed: health?.notResumed ?? defaults.health.notResumed,
    },
    stop: {
      signal: stop?.signal ?? defaults.stop.signal,
      graceMs: flags.stopGrace ?? stop?.grace ?? defaults.stop.graceMs,
    },
    provenAfterMs: checkpoints?.provenAfter ?? defaults.checkpoints.provenAfterMs,
    rules: (config.failures ?? []).map(toRule),
  };
}

/** Everything else: flags over configuration over defaults. */
export function resolveSettings(config: Config, flags: RunFlags, surroundings: Surroundings): Settings {
  const { checkpoints, resume, heartbeat, logs } = config;
  const name = flags.name ?? config.name;
  const layout = flags.layout ?? checkpoints?.layout;
  const named = (path: string): string => resolvePath(surroundings.cwd, path);
  const vault = flags.vault === undefined ? checkpoints?.vault : named(flags.vault);
  const serve = resolveServe(config.serve, flags.serve);
  return {
    stateDir: resolveStateDir(surroundings, flags.stateDir, config.stateDir),
    ...(name !== undefined && { name }),
    ...(config.command && { command: config.command }),
    engine: flags.engine ?? config.engine ?? defaults.engine,
    stdin: flags.stdin === true ? 'inherit' : 'null',
    checkpoints: {
      dirs: flags.checkpointDir?.map(named) ?? [checkpoints?.dir ?? []].flat(),
      ...(layout !== undefined && { layout }),
      ...(vault !== undefined && { vault }),
      ...(checkpoints?.settle !== undefined && { settleMs: checkpoints.settle }),
      provenAfterMs: checkpoints?.provenAfter ?? defaults.checkpoints.provenAfterMs,
      verify: checkpoints?.verify ?? defaults.checkpoints.verify,
      include: checkpoints?.include ?? [],
      clean: checkpoints?.clean ?? [],
      keep: resolveKeep(checkpoints?.keep),
    },
    resume: {
      args: resume?.args ?? [],
      env: resume?.env ?? {},
      replace: resume?.replace ?? {},
      ...(resume?.preset !== undefined && { preset: resume.preset }),
    },
    heartbeat: {
      files: heartbeat?.files ?? [],
      ...(heartbeat?.pattern !== undefined && { pattern: heartbeat.pattern }),
    },
    logs: {
      attemptBytes: logs?.keep?.attempt ?? defaults.logs.attemptBytes,
      runBytes: logs?.keep?.run ?? defaults.logs.runBytes,
      attempts: logs?.keep?.attempts ?? defaults.logs.attempts,
      ...(logs?.dir !== undefined && { dir: logs.dir }),
    },
    preflight: (config.preflight ?? []).map(toCommand),
    hooks: Object.fromEntries(
      Object.entries(config.hooks ?? {}).flatMap(([name, command]) =>
        command ? [[name, toCommand(command)] as const] : [],
      ),
    ),
    notify: flags.notify ?? config.notify ?? [],
    ...(serve && { serve }),
  };
}

/** The configuration's table alone asks for it; a port of the flag goes before its port. */
function resolveServe(config: Config['serve'], flag: RunFlags['serve']): ServeSettings | undefined {
  if (!config && flag === undefined) return undefined;
  const given = Object.fromEntries(Object.entries(config ?? {}).filter(([, value]) => value !== undefined));
  return { ...given, ...(typeof flag === 'number' && { port: flag }) };
}

function toCommand(wish: NonNullable<Config['preflight']>[number]): UserCommand {
  const { command, timeout } = Array.isArray(wish) ? { command: wish } : { timeout: undefined, ...wish };
  const [program = '', ...args] = command;
  return { argv: [program, ...args], timeoutMs: timeout ?? defaults.commandTimeoutMs };
}

/** `checkpoints.keep` over the defaults; a best is kept where `best` or `metric` asks for it. */
export function resolveKeep(keep: NonNullable<Config['checkpoints']>['keep']): KeepSettings {
  const usual = defaults.checkpoints.keep;
  const { every, everyTime, best, metric, mode, within, bytes, quarantine } = keep ?? {};
  const wantsBest = best !== undefined || metric !== undefined;
  return {
    last: keep?.last ?? usual.last,
    folder: keep?.folder ?? usual.folder,
    ...(every !== undefined && { everySteps: every }),
    ...(everyTime !== undefined && { everyMs: everyTime }),
    ...(wantsBest && {
      best: { count: best ?? 1, metric: metric ?? usual.metric, mode: mode ?? usual.mode },
    }),
    ...(within !== undefined && { withinMs: within }),
    ...(bytes !== undefined && { bytes }),
    quarantine: {
      last: quarantine?.last ?? usual.quarantine.last,
      withinMs: quarantine?.within ?? usual.quarantine.withinMs,
      ...(quarantine?.bytes !== undefined && { bytes: quarantine.bytes }),
    },
  };
}

/** A path as it was given, but for URLs. */
const resolvePath = (cwd: string, name: string): string =>
  /^[a-z][a-z0-9+.-]*:\/\//i.test(name) ? name : path.resolve(cwd, name);

const fixedTimeout = (timeout: number | 'auto' | undefined): number | undefined =>
  timeout === 'auto' ? undefined : timeout;

type ConfigRule = NonNullable<Config['failures']>[number];

/** The same rule without keys that are there but undefined. */
function toRule({ match, kind, action }: ConfigRule): FailureRule {
  const { exitCodes, signals, pattern } = match;
  return {
    match: {
      ...(exitCodes && { exitCodes }),
      ...(signals && { signals }),
      ...(pattern !== undefined && { pattern }),
    },
    ...(kind !== undefined && { kind }),
    ...(action !== undefined && { action }),
  };
}
