/** What the fields of a worker's beat are called in a heartbeat line. The step goes before the batch. */
const lineNames: Readonly<Record<string, string>> = {
  currentBatch: 'step',
  current_batch: 'step',
  gradNorm: 'grad_norm',
  totalSteps: 'total_steps',
};

/** Fields that are told of one beat, and the length of a text. */
const mostFields = 40;
const longestText = 4096;

/** Numbers that JSON cannot hold come as these texts. */
const isSpecial = (value: unknown): value is string =>
  typeof value === 'string' && /^[+-]?(?:nan|inf(?:inity)?)$/i.test(value);

/**
 * The heartbeat line that says what a worker told by HTTP: `heartbeat {"step":120,"loss":NaN,"rank":1}`.
 * @param beat its fields, as they came: only numbers and texts count
 * @param rank the worker's, where several report and it names none
 */
export function lineOfBeat(beat: Readonly<Record<string, unknown>>, rank?: number): string {
  const said = new Map<string, string>();
  for (const [field, value] of Object.entries(rank === undefined ? beat : { rank, ...beat })) {
    const name = Object.hasOwn(lineNames, field) ? (lineNames[field] ?? field) : field;
    const text = literal(value);
    if (text === undefined || (name !== field && (said.has(name) || name in beat))) continue;
    if (said.size < mostFields) said.set(name, text);
  }
  const pairs = [...said].map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  return `heartbeat {${pairs.join(',')}}`;
}

function literal(value: unknown): string | undefined {
  if (isSpecial(value)) return value;
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.length <= longestText ? JSON.stringify(value) : undefined;
}
