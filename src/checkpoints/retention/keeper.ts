import path from 'node:path';
import { nextSaveBytes, type CheckpointFact } from '../../policy/checkpoint.js';
import type { Prunable, Pruned } from '../../supervisor/ports.js';
import { stampOf, type Stamp } from '../../util/os/dir-walk.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import { formatBytes } from '../../util/text.js';
import type { Pins } from '../pins.js';
import type { SeenSpare } from '../spares/facts.js';
import { decide, freed, type KeepRules, type SpareCandidate, type Survey } from './decide.js';
import { finishRemovals, removeTransaction, transactionsIn } from './quarantine.js';
import { layReserve } from './reserve.js';
import { bytesOf, freeBytesIn, roomFor } from './room.js';
import { discard, emptyTrash } from './trash.js';

/** What a metric was at a step, by the run's heartbeats. */
export type MetricAt = (step: number) => number | undefined;

export interface KeeperParts {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  readonly vault: string;
  readonly guessed: boolean;
  readonly pins: Pins;
  readonly keep: KeepRules;
  readonly metrics?: (name: string) => Promise<MetricAt>;
  readonly clock: { now(): number };
  readonly notice: (text: string) => void;
}

/** What the last look at the folder found. */
export interface Look {
  /** Oldest first. */
  readonly live: readonly CheckpointFact[];
  /** Oldest first, also of what the folder still holds. */
  readonly spares: readonly SeenSpare[];
  readonly best?: string;
  /** Top-level entries of a checkpoint in the folder, the main one first. */
  readonly membersOf: (id: string) => readonly Stamp[];
}

/** Carries out what retention decides (CHECKPOINTS.md). The vault and the folder are this process's alone. */
export class Keeper {
  readonly #parts: KeeperParts;
  #clean = false;
  /** What the last tidying saw: it is not done again for the same. */
  #seen = '';
  #said = '';

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** Removes what no rule keeps, more where the disk is nearly full, and says that. What fails is said and tried again. */
  async tidy(look: Look): Promise<void> {
    const { vault } = this.#parts;
    try {
      if (!this.#clean) await finishRemovals(vault);
      if (!this.#clean) await emptyTrash(vault);
      this.#clean = true;
      const wanted = await this.#wanted(look);
      const seen = signatureOf(look);
      if (seen === this.#seen && wanted === 0) return;
      const decision = await this.decide(look, wanted);
      await this.carryOut(decision, look);
      this.#tell(decision, wanted);
      if (wanted <= freed(decision)) await layReserve(vault);
      this.#seen = seen;
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      this.#say(`the vault ${vault} could not be tidied: ${errorText(error)}`);
    }
  }

  /** @param wanted bytes that are to be freed beyond what the rules let go */
  async decide(look: Look, wanted = 0): Promise<Pruned> {
    const { keep, clock, pins } = this.#parts;
    if (!(await pins.areKnown())) return { keep: [], drop: [] };
    return decide(await this.#survey(look), keep, clock.now(), wanted);
  }

  /** @throws the system's error; nothing is half removed */
  async carryOut({ drop }: Pruned, look: Look): Promise<void> {
    const { dir, vault } = this.#parts;
    const transactions = drop.some(({ kind }) => kind === 'transaction') ? await transactionsIn(vault, await this.#parts.pins.all()) : []; // prettier-ignore
    for (const { kind, id } of drop) {
      const spare = look.spares.find((one) => one.fact.id === id);
      const transaction = transactions.find((one) => one.tx === id);
      if (kind === 'spare' && spare) await discard(vault, [folderOf(spare)]);
      if (kind === 'transaction' && transaction) await removeTransaction(vault, transaction);
      const members = kind === 'checkpoint' ? look.membersOf(id) : [];
      if (await areStill(dir, members)) await discard(vault, members.map((one) => path.join(dir, one.path))); // prettier-ignore
    }
  }

  /** Bytes that the next save lacks; 0: none, or nobody knows how large it will be. */
  async #wanted({ live, spares }: Look): Promise<number> {
    const next = nextSaveBytes(live) ?? nextSaveBytes(spares.map(({ fact }) => fact));
    return next === undefined ? 0 : Math.max(0, roomFor(next) - (await freeBytesIn(this.#parts.dir)));
  }

  async #survey({ live, spares, best, membersOf }: Look): Promise<Survey> {
    const { vault, dir, guessed, keep } = this.#parts;
    const metricAt = keep.best && (await this.#parts.metrics?.(keep.best.metric));
    const candidate = async (fact: CheckpointFact, root: string, entries: readonly string[]) => {
      const step = fact.step ?? fact.number;
      const metric = step === undefined ? undefined : metricAt?.(step);
      return {
        ...{
          id: fact.id,
          standing: fact.standing,
          savedAt: fact.modifiedAt,
          bytes: await bytesOf(root, entries),
        },
        ...(step !== undefined && { step }),
        ...(metric !== undefined && { metric }),
      };
    };
    const held: SpareCandidate[] = [];
    for (const spare of spares) {
      const folder = folderOf(spare);
      const seen = await candidate(spare.fact, path.dirname(folder), [path.basename(folder)]);
      held.push({ ...seen, of: spare.held.spare.of, inFolder: spare.inFolder });
    }
    const inFolder: Survey['live'][number][] = [];
    for (const fact of keep.folder ? live : [])
      inFolder.push({
        ...(await candidate(
          fact,
          dir,
          membersOf(fact.id).map((one) => one.path),
        )),
        ours: fact.ours,
      });
    const pinned = [...live, ...spares.map(({ fact }) => fact)].filter((fact) => fact.pinned);
    return {
      ...{ spares: held, live: inFolder, guessed, pinned: new Set(pinned.map(({ id }) => id)) },
      transactions: await transactionsIn(vault, await this.#parts.pins.all()),
      ...(best !== undefined && { best }),
    };
  }

  #tell(decision: Pruned, wanted: number): void {
    const gone = decision.drop.filter((one) => one.kind === 'checkpoint' || wanted > 0);
    const bytes = formatBytes(freed({ ...decision, drop: gone }));
    const { dir, notice } = this.#parts;
    if (wanted === 0) {
      this.#said = '';
      if (gone.length > 0) notice(`retention removed from ${dir}: ${listed(gone)}; ${bytes} freed`);
      return;
    }
    const full = `the disk of ${dir} is nearly full: the next checkpoint lacks ${formatBytes(wanted)}`;
    const left = wanted > freed(decision);
    const rest = left ? '; what is left in the vault may be needed and stays' : '';
    if (gone.length > 0) notice(`${full}; removed ${listed(gone)}, ${bytes} freed${rest}`);
    else if (left) this.#say(`${full}${rest}`, full.slice(0, -formatBytes(wanted).length));
  }

  /** Says the same thing once. */
  #say(text: string, key = text): void {
    if (key !== this.#said) this.#parts.notice(text);
    this.#said = key;
  }
}

/** What bears a name by now may be another, newer checkpoint. */
async function areStill(dir: string, members: readonly Stamp[]): Promise<boolean> {
  const now = await Promise.all(members.map((one) => stampOf(dir, one.path)));
  return members.every((one, index) => one.inode === now[index]?.inode);
}

const folderOf = (spare: SeenSpare): string => path.dirname(spare.held.root);

const signatureOf = ({ live, spares }: Look): string =>
  [...live, ...spares.map(({ fact }) => fact)]
    .map((one) => `${one.id}\0${one.standing} ${one.modifiedAt} ${one.pinned}`)
    .join('\0');

const kinds = { spare: 'the spare ', transaction: 'what was quarantined by ', checkpoint: '' } as const;
const mostListed = 5;

function listed(gone: readonly Prunable[]): string {
  const some = gone.slice(0, mostListed).map(({ kind, id, because }) => `${kinds[kind]}${id} (${because})`);
  const more = gone.length - some.length;
  return `${some.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
