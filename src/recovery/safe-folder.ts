import type { Bad } from '../policy/bad.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import { Blocked } from './blocked.js';
import type { RecoveryContext } from './context.js';
import type { RecoveryKind } from './decision.js';
import { lackingResources } from './resources.js';
import { foldersFor, goToSafeState, type SafeState } from './safe-state.js';
import type { RecursiveSettings } from './settings.js';

/** The checkpoint folders of one training: one rollback at a time. */
export class SafeFolder {
  readonly #settings: Pick<RecursiveSettings, 'folders' | 'rollbackEnabled' | 'signal'>;
  readonly #notice: (text: string) => void;
  #last: Promise<unknown> = Promise.resolve();
  /** From where on what was saved is not trusted, until a rollback has come through. */
  #charge: Bad | undefined;
  /** Where the last checkpoint lay that the context named. */
  #found: readonly string[] = [];

  constructor(
    settings: Pick<RecursiveSettings, 'folders' | 'rollbackEnabled' | 'signal'>,
    notice: (text: string) => void,
  ) {
    this.#settings = settings;
    this.#notice = notice;
  }

  /** As {@link goBack}; undefined: no folder is known. */
  async goBackIfKnown(context: RecoveryContext, bad: Bad | undefined): Promise<SafeState | undefined> {
    if (this.#dirsFor(context).length > 0) return this.goBack(context, bad);
    this.#notice(`nothing is rolled back: ${unknownFolder}`);
    return undefined;
  }

  /**
   * Goes back to what can be trusted, and says so in the context.
   * @throws Blocked where the folder does not let it
   */
  async goBack(context: RecoveryContext, bad: Bad | undefined): Promise<SafeState> {
    const turn = this.#last.then(() => this.#goBack(context, bad));
    this.#last = turn.then(ignore, ignore);
    return turn;
  }

  async #goBack(context: RecoveryContext, bad: Bad | undefined): Promise<SafeState> {
    const dirs = this.#dirsFor(context);
    if (dirs.length === 0) throw new Error(unknownFolder);
    const { folders, rollbackEnabled, signal } = this.#settings;
    this.#charge = bad ?? this.#charge;
    // one that is only known by what lay in it is not made anew
    const away = folders.dirs.length > 0 ? undefined : await missingAncestor(dirs[0] ?? '');
    if (away !== undefined) return { path: null, moved: [], reason: `${away} is not there`, stuck: !folders.allowScratch }; // prettier-ignore
    const done = await goToSafeState(
      { ...folders, dirs },
      {
        ...{ holder: context.runId ?? 'recovery', rollbackEnabled },
        hadOne: typeof context.lastCheckpointPath === 'string',
        ...(this.#charge && { bad: this.#charge }),
        ...(signal && { signal }),
        notice: this.#notice,
      },
    );
    if (!done.ok) throw Blocked.byFolder(done.error);
    this.#charge = undefined;
    context.lastCheckpointPath = done.value.path;
    return done.value;
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

const unknownFolder =
  'no checkpoint folder is known; name it in checkpoints.dir, or give lastCheckpointPath in the context';
