import path from 'node:path';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { nearest } from '../util/text.js';
import { compilePatterns, type Patterns } from './check-patterns.js';
import { lineOf } from './lines.js';
import { type ConfigSource, locateConfig, type Seeker } from './locate.js';
import { isTable, parseSource } from './parse.js';
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
  const { stateDir, checkpoints, heartbeat, logs } = config;
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
    ...(logs && { logs: { ...logs, ...(logs.dir !== undefined && { dir: resolve(logs.dir) }) } }),
  };
}

const isUrl = (name: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(name);

function describe(source: ConfigSource, data: unknown, issue: ConfigIssue, schema: unknown): string {
  const { path: where, unknownKey, message = 'is not valid' } = issue;
  const full = unknownKey === undefined ? where : [...where, unknownKey];
  const line = lineOf(source, [...source.section, ...full]);
  const at = `${source.file}${line === undefined ? '' : `, line ${line}`}: `;
  if (unknownKey !== undefined) return `${at}${unknownKeyText(schema, where, unknownKey)}`;
  if (full.length === 0) return `${at.replace(/: $/, '')} ${message}.`;
  return `${at}${dotted(full)} ${message}, not ${shown(valueAt(data, full))}.`;
}

function unknownKeyText(schema: unknown, where: ConfigIssue['path'], key: string): string {
  const known = keysOf(schema, where);
  const elsewhere = leaves(schema).find((path) => path.at(-1)?.toLowerCase() === key.toLowerCase());
  const near = nearest(key, known);
  const meant = near === undefined ? elsewhere : [...where, near];
  const hint = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean ${dotted(meant)}?`;
  return `there is no key ${dotted([...where, key])}; ${hint}${hint.endsWith('?') ? '' : '.'}`;
}

const shown = (value: unknown): string => {
  if (value === undefined) return 'left out';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
};

const dotted = (path: ConfigIssue['path']): string =>
  path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join('');

function valueAt(data: unknown, path: ConfigIssue['path']): unknown {
  let value = data;
  for (const part of path) {
    if (Array.isArray(value) && typeof part === 'number') value = value[part];
    else value = isTable(value) && typeof part === 'string' ? value[part] : undefined;
  }
  return value;
}

/** The keys that the schema knows at a path. */
function keysOf(schema: unknown, path: ConfigIssue['path']): string[] {
  let node = schema;
  for (const part of path) {
    node = typeof part === 'number' ? valueAt(node, ['items']) : valueAt(node, ['properties', part]);
  }
  const properties = valueAt(node, ['properties']);
  return isTable(properties) ? Object.keys(properties).filter((key) => key !== '$schema') : [];
}

function leaves(schema: unknown, path: readonly string[] = []): string[][] {
  return keysOf(schema, path).flatMap((key) => [[...path, key], ...leaves(schema, [...path, key])]);
}
