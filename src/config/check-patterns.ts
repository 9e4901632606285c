import type { LinePattern } from './pattern.js';
import type { Config, ConfigIssue } from './schema.js';

/** The configuration's expressions, compiled, by their source. */
export type Patterns = ReadonlyMap<string, LinePattern>;

/** Compiles every expression of a configuration, or says what is wrong with the first that is none. */
export async function compilePatterns(
  config: Config,
): Promise<{ readonly patterns: Patterns } | { readonly issue: ConfigIssue }> {
  const patterns = new Map<string, LinePattern>();
  for (const { path, source } of patternsOf(config)) {
    const { compilePattern } = await import('./pattern.js');
    const compiled = await compilePattern(source);
    if ('problem' in compiled) return { issue: { path, message: compiled.problem } };
    if (path[0] === 'heartbeat' && compiled.names.length === 0) {
      return { issue: { path, message: 'must have a named group, such as (?<step>[0-9]+)' } };
    }
    patterns.set(source, compiled);
  }
  return { patterns };
}

function patternsOf({ heartbeat, failures = [] }: Config): { path: (string | number)[]; source: string }[] {
  const rules = failures.map(({ match }, index) => ({
    path: ['failures', index, 'match', 'pattern'],
    source: match.pattern,
  }));
  return [{ path: ['heartbeat', 'pattern'], source: heartbeat?.pattern }, ...rules].flatMap(
    ({ path, source }) => (source === undefined ? [] : [{ path, source }]),
  );
}
