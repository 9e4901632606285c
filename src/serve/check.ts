import { issueText } from '../config/issue-text.js';
import { checkTable, jsonSchemaOf } from '../config/schema.js';
import type { z } from '../config/values.js';

/**
 * Checks what came in.
 * @param place what it is, as a person would say it: `the body`, `the query`
 * @returns what the schema made of it, or what is wrong with it: one sentence
 */
export function check<S extends z.ZodType>(
  schema: S,
  value: unknown,
  place: string,
): { readonly value: z.output<S> } | { readonly wrong: string } {
  const checked = checkTable(schema, value);
  if (!('issue' in checked)) return checked;
  const { issue } = checked;
  if (issue.unknownKey === undefined && issue.path.length === 0)
    return { wrong: `${place} ${issue.message}.` };
  return { wrong: issueText(value, issue, jsonSchemaOf(schema)) };
}
