import { examine, type Examined } from '../checkpoints/examine.js';
import { settleTime } from '../checkpoints/settle.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail } from '../util/result.js';
import { formatBytes, plural, printable } from '../util/text.js';
import { openForVerb, sayNotice } from './checkpoints-open.js';
import { type CheckpointPlace, placeOf, type PlaceOptions } from './checkpoints-place.js';
import { refuse } from './refuse.js';

export interface VerifyOptions extends PlaceOptions {
  readonly shallow?: true;
}

/**
 * `trainguard checkpoints verify`: reads every byte of the checkpoints of a run or of any folder and holds it against
 * what was recorded, if anything was. It may be used beside a training; where there is none, and a vault, the vault
 * learns what was found damaged.
 * @returns 0 all good, 1 something is damaged, 64 an id or a folder that is not there
 */
export async function verifyCheckpoints(
  target: string | undefined,
  ids: readonly string[],
  options: VerifyOptions,
): Promise<number> {
  const json = options.json === true;
  const place = await placeOf(target, options);
  if (!place.ok) return refuse(place.error, json);
  const folders: unknown[] = [];
  let bad = 0;
  for (const dir of place.value.dirs) {
    const found = await examination(dir, place.value, ids, options);
    if (!found.ok) return refuse(found.error, json);
    const { layout, vault, examined, ids: wanted, foreign } = found.value;
    const say = (text: string): void => {
      if (!json && !options.quiet) process.stdout.write(`${text}\n`);
    };
    if (wanted.length === 0) say(noneIn(dir, foreign));
    const results: Examined[] = [];
    for await (const one of examined()) {
      results.push(one);
      if (isBad(one)) bad++;
      say(describe(one));
    }
    if (vault !== undefined && !place.value.active) await remember(dir, place.value, options, results);
    folders.push({ dir, layout, vault: vault ?? null, run: place.value.run?.name ?? null, checkpoints: results.map(viewOf) }); // prettier-ignore
  }
  if (json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ok: bad === 0, folders })}\n`);
  return bad === 0 ? exitStatus.done : exitStatus.failed;
}

/** What was read and found damaged is not called safe any more. */
async function remember(
  dir: string,
  place: CheckpointPlace,
  options: VerifyOptions,
  results: readonly Examined[],
): Promise<void> {
  const damaged = results.filter((one) => one.verdict === 'damaged' && one.depth !== 'none' && !one.spare);
  if (damaged.length === 0) return;
  const opened = await openForVerb(dir, place, options, false);
  if (!opened.ok) {
    sayNotice(`that is not recorded in the vault: ${opened.error.message}`);
    return;
  }
  const { store, close } = opened.value;
  for (const { id, words = '' } of damaged) {
    const marked = await store.mark(id, 'corrupt', words);
    if (!marked.ok) sayNotice(marked.error.message);
  }
  await close();
}

const isBad = ({ verdict }: Examined): boolean => verdict === 'damaged' || verdict === 'unreadable';

async function examination(
  dir: string,
  { layout, vault, active }: CheckpointPlace,
  ids: readonly string[],
  options: VerifyOptions,
): Promise<Awaited<ReturnType<typeof examine>>> {
  try {
    return await examine({
      ...{ dir, layout, ids, deep: !options.shallow, settleMs: active ? await settleTime(dir) : 0 },
      ...(vault !== undefined && { vault }),
      onNotice: (text) => process.stderr.write(`trainguard: ${printable(text)}\n`),
    });
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return fail(`the checkpoint folder ${dir} cannot be read: ${errorText(error)}`, exitStatus.usage);
  }
}

function noneIn(dir: string, foreign: readonly string[]): string {
  const some = foreign.slice(0, 3).map(printable).join(', ') + (foreign.length > 3 ? ', …' : '');
  return `nothing to verify in ${printable(dir)}: ${foreign.length === 0 ? 'it is empty' : `no checkpoint is recognised (there is: ${some})`}`;
}

const signs = { good: '✔', damaged: '✖', unreadable: '✖', 'being written': '…', gone: '…' } as const;

function describe(one: Examined): string {
  const { verdict, id, words, depth, files, sizeBytes, compared, spare } = one;
  const what = `${plural(files, 'file')}, ${formatBytes(sizeBytes)}`;
  const how = depth === 'deep' ? 'every byte was read' : depth === 'structure' ? 'its structure was checked' : 'it was not read'; // prettier-ignore
  const read = verdict === 'damaged' && depth !== 'none' ? '' : `; ${how}`;
  const record = compared === 0 ? '' : compared === files ? ', as recorded when it was verified' : `, ${compared} of its files as recorded`; // prettier-ignore
  const rest = words === undefined ? '' : `: ${printable(words)}`;
  return `${signs[verdict]} ${printable(id)}${spare ? ' (in the vault)' : ''} is ${verdict}${rest} (${what}${read}${record})`;
}

const viewOf = ({ id, verdict, words, depth, sizeBytes, files, compared, spare }: Examined) => ({
  ...{ id, verdict, why: words ?? null, depth, sizeBytes, files, compared, spare: spare === true },
});
