import { errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { mapJson } from './json-lines.js';
import { lineAt } from './lines.js';
import type { ConfigSource } from './locate.js';

/**
 * Parses a configuration file as data; nothing in it is ever run. Parsers are loaded only for the format at hand.
 * @returns our section of it; undefined if it has none or is empty
 */
export async function parseSource(source: ConfigSource): Promise<Result<unknown>> {
  let data: unknown;
  try {
    data = await parsers[source.format](source);
  } catch (error) {
    const { reason, line } = whatIsWrong(source, error);
    const where = line === undefined ? '' : `, line ${line}`;
    return fail(`The configuration file ${source.file}${where} is not valid ${names[source.format]}: ${reason}.`, exitStatus.config); // prettier-ignore
  }
  for (const key of source.section) data = isTable(data) ? data[key] : undefined;
  return ok(data ?? undefined);
}

const names = { json: 'JSON', yaml: 'YAML', toml: 'TOML' } as const;

const parsers: Readonly<Record<ConfigSource['format'], (source: ConfigSource) => Promise<unknown>>> = {
  json: ({ text }) => Promise.resolve(JSON.parse(text)),
  async yaml({ file, text }) {
    const { loadYaml } = await import('./yaml.js');
    return loadYaml(file, text);
  },
  async toml({ text }) {
    const { parse } = await import('smol-toml');
    return parse(text);
  },
};

function whatIsWrong({ format, text }: ConfigSource, error: unknown): { reason: string; line?: number } {
  if (format === 'json') {
    const at = mapJson(text).errorAt ?? 0;
    const rest = text.slice(at).trimStart();
    const reason =
      rest === '' ? 'it ends too early' : `${JSON.stringify(rest.slice(0, 12))} is not expected there`;
    return { reason, line: lineAt(text, Math.max(0, text.length - text.slice(at).trimStart().length)) };
  }
  if (format === 'yaml') {
    const { reason, mark } = error as { reason?: string; mark?: { line?: number } };
    return { reason: reason ?? firstLine(error), ...(mark?.line !== undefined && { line: mark.line + 1 }) };
  }
  const { line } = error as { line?: number };
  return {
    reason: firstLine(error).replace(/^Invalid TOML document: /, ''),
    ...(line !== undefined && { line }),
  };
}

const firstLine = (error: unknown): string =>
  (errorText(error).split('\n', 1)[0] ?? '').replace(/[.\s]+$/, '');

/** Whether something is a plain table of keys. */
export const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
