import { isGlob } from '../checkpoints/many/glob.js';
import type { Bad } from '../policy/bad.js';
import { type CheckpointFact, isNewerOnly, isUsable } from '../policy/checkpoint.js';
import { mono } from '../util/os/boot.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import { Aborted } from './abort.js';
import { Blocked } from './blocked.js';
import { type RecoveryContext, stepOf } from './context.js';
import type { RecoveryKind } from './decision.js';
import { GoneBackPast } from './gone-back.js';
import { lackingResources } from './resources.js';
import { foldersFor, newestGood } from './safe-look.js';
import type { Visit } from './safe-open.js';
import { type Doubted, goToSafeState, type SafeState } from './safe-state.js';
import { putBack } from './safe-undo.js';
import { wayOut } from './safe-words.js';
import type { RecursiveSettings } from './settings.js';

/** What a training goes back for. */
export interface Wish {
  /** From where on what was saved is not trusted. */
  readonly bad?: Bad;
  /** The checkpoint that it was resumed from may be to blame. */
  readonly doubt?: Pick<Doubted, 'why' | 'last'>;
  /** The numbers went bad: perhaps before it was resumed, if they do so again soon. */
  readonly poisonous?: boolean;
}

/** Where a rollback went to, and in which folders it looked. */
export interface WentTo extends SafeState {
  readonly dirs: readonly string[];
}

/** The checkpoint folders of one training: one rollback at a time. */
export class SafeFolder {
  readonly #settings: Pick<RecursiveSettings, 'folders' | 'rollbackEnabled' | 'signal'>;
  readonly #notice: (text: string) => void;
  #last: Promise<unknown> = Promise.resolve();
  /** From where on what was saved is not trusted, until a rollback has come through or the training is run. */
  #charge: Bad | undefined;
  /** What was resumed from may be to blame, as long. */
  #doubted: Doubted | undefined;
  /** Where the last checkpoint lay that the context named. */
  #found: readonly string[] = [];
  /** What the last rollback went to, and what was resumed from last. */
  #target: CheckpointFact | undefined;
  #resumed: { readonly checkpoint: CheckpointFact; readonly atMono: number } | undefined;
  /** The furthest good checkpoint that any failure found. */
  #furthest: CheckpointFact | undefined;
  /** There was a good one, whatever became of it. */
  #hadGood = false;
  readonly #past = new GoneBackPast();

  constructor(
    settings: Pick<RecursiveSettings, 'folders' | 'rollbackEnabled' | 'signal'>,
    notice: (text: string) => void,
  ) {
    this.#settings = settings;
    this.#notice = notice;
  }

  /** Whether checkpoints can be looked for. */
  isKnown(context: RecoveryContext): boolean {
    return this.#dirsFor(context).length > 0;
  }

  /** As {@link goBack}; undefined: no folder is known. */
  async goBackIfKnown(context: RecoveryContext, wish: Wish): Promise<WentTo | undefined> {
    if (this.isKnown(context)) return this.#inTurn(() => this.#goBack(context, wish, true));
    return undefined;
  }

  /**
   * Goes back to what can be trusted, and says so in the context.
   * @throws Blocked where the folder does not let it
   */
  async goBack(context: RecoveryContext, wish: Wish): Promise<WentTo> {
    return this.#inTurn(() => this.#goBack(context, wish, false));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.then(ignore, ignore);
    return turn;
  }

  /** @param lasting what it is wanted for holds until one comes through: who called has no other answer */
  async #goBack(context: RecoveryContext, wish: Wish, lasting: boolean): Promise<WentTo> {
    const dirs = this.#dirsFor(context);
    if (dirs.length === 0) throw new Error(unknownFolder);
    const { folders, rollbackEnabled, signal } = this.#settings;
    if (signal?.aborted) throw new Aborted(signal);
    const bad = wish.bad ?? this.#charge;
    const doubted = this.#doubtedBy(wish) ?? this.#doubted;
    if (lasting) [this.#charge, this.#doubted] = [bad, doubted];
    const handsOff = folders.dirs.length === 0;
    // who gives a context of its own to each recovery names none
    const hadOne = typeof context.lastCheckpointPath === 'string' || this.#hadGood;
    const hadSteps = (stepOf(context) ?? 0) > 0;
    // an empty folder may wait for its first save; one that is missing after steps were made may be misspelt
    const expected = hadOne || handsOff || hadSteps;
    const away = await missingOf(dirs);
    if (away !== undefined) {
      const stuck = expected && !folders.allowScratch;
      const reason = `the checkpoint folder ${away} is not there${stuck ? `; ${wayOut}` : ''}`;
      return this.#wentTo(context, { path: null, moved: [], stuck, reason });
    }
    const done = await goToSafeState(
      { ...folders, dirs },
      {
        ...{ ...this.#visit(context), rollbackEnabled, hadOne, hadSteps, passed: this.#past.places },
        ...(bad && { bad }),
        ...(doubted && { doubted }),
        ...(signal && { signal }),
      },
    );
    if (!done.ok) throw Blocked.byFolder(done.error);
    this.#dropCharge();
    if (done.value.past) this.#past.note(done.value.past);
    return this.#wentTo(context, done.value);
  }

  #doubtedBy({ doubt, poisonous }: Wish): Doubted | undefined {
    if (!doubt || !this.#resumed) return undefined;
    return { ...this.#resumed.checkpoint, ...doubt, andSince: poisonous === true && this.#resumedLately() };
  }

  #visit({ runId = 'recovery' }: RecoveryContext): Visit {
    return { holder: runId, handsOff: this.#settings.folders.dirs.length === 0, notice: this.#notice };
  }

  #wentTo(context: RecoveryContext, state: SafeState): WentTo {
    this.#target = state.target;
    if (state.target) this.#hadGood = true;
    // where there were good ones it stays known that there were
    if (!state.stuck) context.lastCheckpointPath = state.path;
    // it would tell to begin anew
    else if (context.lastCheckpointPath === null) delete context.lastCheckpointPath;
    return { ...state, dirs: this.#found };
  }

  /**
   * No retry comes: puts back what was gone back past only because it might have been to blame.
   * @returns what became of it, in words; undefined: there is nothing to put back
   */
  async giveUp(context: RecoveryContext): Promise<string | undefined> {
    const deeper = this.#past.inVain();
    if (deeper.length === 0) return undefined;
    const settings = { ...this.#settings.folders, dirs: this.#dirsFor(context) };
    const done = await this.#inTurn(() => putBack(settings, this.#visit(context), deeper));
    if (done.ok && !done.value) return undefined;
    return done.ok
      ? 'what was gone back past in vain is put back where it was'
      : `what was gone back past in vain stays in quarantine, since it could not be put back: ${done.error.message}`;
  }

  /** The training got further: to go back that far was right. */
  noteProgress(): void {
    this.#past.cured();
  }

  /**
   * The training is run now: what it saves is judged anew.
   * @param wentBack from where the last rollback went to
   */
  noteResume(wentBack: boolean): void {
    this.#dropCharge();
    if (wentBack) this.#resumed = this.#target && { checkpoint: this.#target, atMono: mono() };
  }

  #dropCharge(): void {
    this.#charge = undefined;
    this.#doubted = undefined;
  }

  /** Within the time that proves a checkpoint good. */
  #resumedLately(): boolean {
    const { provenAfterMs } = this.#settings.folders;
    return this.#resumed !== undefined && mono() - this.#resumed.atMono < provenAfterMs;
  }

  /**
   * Whether a further good checkpoint is there than at any failure before; `newer`: only its time says so, as of one that
   * is written over the last; undefined: no folder is known.
   * @param first there was no failure before
   */
  async gotFurther(
    context: RecoveryContext,
    { bad, poisonous }: Wish,
    first: boolean,
  ): Promise<boolean | 'newer' | undefined> {
    const { folders, rollbackEnabled, signal } = this.#settings;
    const dirs = this.#dirsFor(context);
    if (dirs.length === 0) return undefined;
    // what was saved since may hold the bad numbers that it was resumed with
    if (poisonous && this.#resumedLately()) return false;
    const past = this.#furthest;
    const wanted = { past, passed: this.#past.places, bad, proven: !first, ...(signal && { signal }) };
    const newest = await newestGood(folders, dirs, wanted);
    this.#furthest = newest ?? past;
    // no rollback moves it away, and at the next failure it is no news
    if (bad && !rollbackEnabled)
      this.#furthest = (await newestGood(folders, dirs, { ...wanted, past: this.#furthest, bad: undefined })) ?? this.#furthest; // prettier-ignore
    if (newest === undefined) return false;
    this.#hadGood ||= isUsable(newest.standing);
    if (first) return false;
    return past && isNewerOnly(newest, past) ? 'newer' : true;
  }

  /** What was resumed from, and how far the training got, says nothing about what comes. */
  forget(): void {
    this.#target = undefined;
    this.#resumed = undefined;
    this.#furthest = undefined;
    this.#dropCharge();
  }

  /** @throws Blocked where the machine lacks what another attempt needs */
  async checkRoom(context: RecoveryContext, after: RecoveryKind): Promise<void> {
    const lack = await lackingResources(this.#settings.folders, this.#dirsFor(context), after);
    if (lack)
      throw Blocked.lacking({ kind: lack.about === 'memory' ? 'host-memory' : 'storage', words: lack.words });
  }

  #dirsFor({ lastCheckpointPath }: RecoveryContext): readonly string[] {
    const dirs = foldersFor(this.#settings.folders, lastCheckpointPath);
    // once nothing can be resumed from, the context names none any more
    if (dirs.length > 0) this.#found = dirs;
    return this.#found;
  }
}

const ignore = (): void => undefined;

/** The folders, if none of them is there: none is made for a question. */
async function missingOf(dirs: readonly string[]): Promise<string | undefined> {
  for (const dir of dirs) {
    // what a glob matches, or lies on another machine, is told by who opens it
    if (isGlob(dir) || dir.includes('://') || (await missingAncestor(dir)) === undefined) return undefined;
  }
  return dirs.join(', ');
}

export const unknownFolder =
  'no checkpoint folder is known; name it in checkpoints.dir, or give lastCheckpointPath in the context';
