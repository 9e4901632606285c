import path from 'node:path';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { compilePatterns, type Patterns } from './check-patterns.js';
import { issueText, placeOf, valueAt } from './issue-text.js';
import { lineOf } from './lines.js';
import { type ConfigSource, locateConfig, type Seeker } from './locate.js';
import { parseSource } from './parse.js';
import type { Config, ConfigIssue } from './schema.js';

export type { Config } from './schema.js';

export interface LoadedConfig {
  readonly config: Config;
  /** Absolute; undefined if there is none. */
  readonly file?: string;
  /** What a person should know: keys that are legal but not acted upon yet. */
  readonly notices: readonly string[];
  /** The expressions in it, compiled; undefined if there are none. */
  readonly patterns?: Patterns;
}

/** Keys of the contract that this version only checks. */
const notYet = ['logs.dir'];

/**
 * Finds, reads and checks the configuration. Paths in it come out absolute, relative ones being relative to the file.
 * Whatever is wrong is one sentence that names the file, the line and the key (exit status 78).
 */
export async function loadConfig(seeker: Seeker): Promise<Result<LoadedConfig>> {
  const located = await locateConfig(seeker);
  if (!located.ok) return located;
  const source = located.value;
  if (!source) return ok({ config: {}, notices: [] });
  const parsed = await parseSource(source);
  if (!parsed.ok) return parsed;
  const data = parsed.value ?? {};
  // the schema is loaded only where there is something to check
  const { checkConfig, configJsonSchema } = await import('./schema.js');
  const checked = checkConfig(data);
  if ('issue' in checked) {
    return fail(describe(source, data, checked.issue, configJsonSchema()), exitStatus.config);
  }
  const compiled = await compilePatterns(checked.config);
  if ('issue' in compiled) {
    return fail(describe(source, data, compiled.issue, configJsonSchema()), exitStatus.config);
  }
  const { patterns } = compiled;
  const notices = notYet
    .filter((key) => valueAt(data, key.split('.')) !== undefined)
    .map((key) => `${source.file}: ${key} is known, but this version does not act upon it yet`);
  return ok({
    config: absolute(checked.config, path.dirname(source.file)),
    file: source.file,
    notices,
    ...(patterns.size > 0 && { patterns }),
  });
}

function absolute(config: Config, dir: string): Config {
  const resolve = (name: string): string => (isUrl(name) ? name : path.resolve(dir, name));
  const { stateDir, checkpoints, heartbeat, logs, serve } = config;
  return {
    ...config,
    ...(stateDir !== undefined && { stateDir: resolve(stateDir) }),
    ...(checkpoints && {
      checkpoints: {
        ...checkpoints,
        ...(checkpoints.dir !== undefined && { dir: [checkpoints.dir].flat().map(resolve) }),
        ...(checkpoints.vault !== undefined && { vault: resolve(checkpoints.vault) }),
        ...(checkpoints.include && { include: checkpoints.include.map(resolve) }),
        ...(checkpoints.clean && { clean: checkpoints.clean.map(resolve) }),
      },
    }),
    ...(heartbeat && {
      heartbeat: { ...heartbeat, ...(heartbeat.files && { files: heartbeat.files.map(resolve) }) },
    }),
    ...(serve && {
      serve: {
        ...serve,
        ...(serve.tlsCert !== undefined && { tlsCert: resolve(serve.tlsCert) }),
        ...(serve.tlsKey !== undefined && { tlsKey: resolve(serve.tlsKey) }),
      },
    }),
    ...(logs && { logs: { ...logs, ...(logs.dir !== undefined && { dir: resolve(logs.dir) }) } }),
  };
}

const isUrl = (name: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(name);

function describe(source: ConfigSource, data: unknown, issue: ConfigIssue, schema: unknown): string {
  const full = placeOf(issue);
  const line = lineOf(source, [...source.section, ...full]);
  const at = `${source.file}${line === undefined ? '' : `, line ${line}`}`;
  return `${at}${full.length === 0 ? '' : ':'} ${issueText(data, issue, schema)}`;
}
