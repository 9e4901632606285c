import { pythonPath } from './python.js';
import { fixture } from './root.js';

/** A script of fixtures/drill, how it is drilled, and what must come of it. */
export interface DrillCase {
  readonly script: string;
  readonly flags: readonly string[];
  readonly args: readonly string[];
  readonly proven: boolean;
  readonly cause: string;
  /** What the advice must say; nothing for one that resumes. */
  readonly advice: RegExp;
}

const out = ['--output_dir', 'out'];
const it = (
  script: string,
  cause: string,
  advice = /^$/,
  flags: readonly string[] = [],
  args = out,
): DrillCase => ({
  ...{ script, cause, advice, flags, args },
  proven: cause === 'resumed',
});

/** Five that resume, and five that do not, in five different ways. */
export const drillCases: readonly DrillCase[] = [
  it('by_flag.py', 'resumed', undefined, ['--resume-args', '--resume_from {path}']),
  it('by_environment.py', 'resumed'),
  it('by_itself.py', 'resumed'),
  it('by_folder_flag.py', 'resumed', undefined, ['--resume-args', '--resume_dir={dir}']),
  it('in_place.py', 'resumed', undefined, ['--checkpoint-dir', 'checkpoints'], []),
  it('by_flag.py', 'flag-missing', /^--resume-args '--resume_from \{path\}'$/m),
  it('only_saves.py', 'no-loading-code', /resume = os\.environ\.get\("TRAINGUARD_RESUME_FROM"\)/),
  it('old_path.py', 'fixed-path', /line 21 of .*old_path\.py .*TRAINGUARD_RESUME_FROM/),
  it('step_from_zero.py', 'step-not-restored', /for step in range\(start \+ 1/),
  it('cannot_load.py', 'load-error', /what it loads must be what it saves/),
];

/** More ways of not resuming. */
export const moreDrillCases: readonly DrillCase[] = [
  it('only_at_the_end.py', 'only-at-the-end', /save every so many steps/),
  it('by_folder_flag.py', 'wrong-value', /--resume-args '--resume_dir \{dir\}'/, [
    '--resume-args',
    '--resume_dir {path}',
  ]),
  it('by_flag.py', 'unknown-flag', /--resume-args '--resume_from \{path\}'/, [
    '--resume-args',
    '--resme {path}',
  ]),
];

/** The words of `trainguard` that drill it. */
export const drillWords = ({ script, flags, args }: DrillCase): readonly string[] => [
  ...['drill', '--json', '--timeout', '60', ...flags, '--', pythonPath()],
  ...[fixture('drill', script), ...args],
];

/** What `drill --json` answers, as far as the tests look. */
export interface DrillAnswer {
  readonly proven: boolean;
  readonly cause: string;
  readonly words: string;
  readonly advice: readonly string[];
  readonly attempts: readonly { readonly firstStep: number | null; readonly lastStep: number | null }[];
  readonly checkpoint: { readonly id: string; readonly step: number | null } | null;
}
