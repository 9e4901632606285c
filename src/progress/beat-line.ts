/** What the fields of a worker's beat are called in a heartbeat line. The step goes before the batch. */
const lineNames: Readonly<Record<string, string>> = {
  currentBatch: 'step',
  current_batch: 'step',
  gradNorm: 'grad_norm',
  totalSteps: 'total_steps',
};

/** What a training is judged by: told however many other fields there are. */
const first = ['rank', 'step', 'currentBatch', 'current_batch', 'phase', 'loss', 'grad_norm', 'gradNorm', 'total_steps', 'totalSteps', 'epoch', 'checkpoint']; // prettier-ignore
const place = (field: string): number => {
  const at = first.indexOf(field);
  return at < 0 ? first.length : at;
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
  const told = Object.entries(rank === undefined ? beat : { rank, ...beat })
    .sort(([one], [other]) => place(one) - place(other))
    .flatMap(([field, value]): [string, string][] => {
      const text = literal(value);
      return text === undefined ? [] : [[field, text]];
    })
    .slice(0, mostFields);
  const own = new Set(told.map(([field]) => field));
  const said = new Map<string, string>();
  for (const [field, text] of told) {
    const name = Object.hasOwn(lineNames, field) ? (lineNames[field] ?? field) : field;
    if (name === field || !(own.has(name) || said.has(name))) said.set(name, text);
  }
  const pairs = [...said].map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  return `heartbeat {${pairs.join(',')}}`;
}

function literal(value: unknown): string | undefined {
  if (isSpecial(value)) return value;
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.length <= longestText ? JSON.stringify(value) : undefined;
}
