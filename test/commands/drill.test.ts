import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { redirect } from '../../src/commands/drill-place.js';
import { factsOf, readScript } from '../../src/commands/drill-script.js';
import type { AttemptSeen, DrillCause, DrillFacts, ScriptFacts } from '../../src/report/drill-facts.js';
import { judgeDrill } from '../../src/report/drill-verdict.js';
import { fixture } from '../support/root.js';
import { tempDir } from '../support/temp-dir.js';

const seen = (change: Partial<AttemptSeen> = {}): AttemptSeen => ({
  argv: ['python', 't.py'],
  largestGap: 1,
  mentions: [],
  seconds: 1,
  ...change,
});
const first = seen({ firstStep: 1, lastStep: 27, firstLoss: 1 });
const target = { id: 'checkpoint-20', path: '/c/checkpoint-20', step: 20, loss: 0.5 };
const script: ScriptFacts = { file: 't.py', flags: [] };
const facts = (change: Partial<DrillFacts> = {}): DrillFacts => ({
  ...{ first, target, recipeArgs: [], script },
  ...change,
});
const failed = (reason: string): AttemptSeen => {
  const failure = { kind: 'exception' as const, reason, evidence: [], confidence: 1 };
  return seen({ ended: { exit: { type: 'code', code: 1 }, failure } });
};
const done = seen({
  ended: {
    exit: { type: 'code', code: 0 },
    failure: { kind: 'success', reason: 'exit 0', evidence: [], confidence: 1 },
  },
});
const began = (firstStep: number, change: Partial<AttemptSeen> = {}): AttemptSeen =>
  seen({ firstStep, ...change });
const resumeFlag = { flag: '--resume', takesValue: true, file: 't.py', line: 7 };
const loads = { file: 't.py', line: 9, text: 'torch.load(p)' };

const rows: readonly [string, DrillCause, DrillFacts, RegExp?][] = [
  ['goes on behind the checkpoint', 'resumed', facts({ second: began(21) })],
  ['repeats the step of the checkpoint', 'resumed', facts({ second: began(20) })],
  ['reports every tenth step only', 'resumed', facts({ first: seen({ firstStep: 10, lastStep: 30, largestGap: 10 }), second: began(30) })],
  ['begins again, a flag was not given', 'flag-missing', facts({ second: began(1), script: { ...script, flags: [resumeFlag] } }), /^--resume-args '--resume \{path\}'$/],
  ['a flag without a value', 'flag-missing', facts({ second: began(1), script: { ...script, flags: [{ ...resumeFlag, takesValue: false }] } }), /^--resume-args '--resume'$/],
  ['a flag that wants the folder', 'flag-missing', facts({ second: began(1), script: { ...script, flags: [{ ...resumeFlag, flag: '--resume_dir' }] } }), /\{dir\}/],
  ['the flag was given with a fixed path', 'fixed-path', facts({ second: began(1, { argv: ['python', 't.py', '--resume', 'old.pt'] }), script: { ...script, flags: [resumeFlag] } }), /--resume \{path\}/],
  ['begins where something old ended', 'fixed-path', facts({ first: seen({ firstStep: 101, lastStep: 130 }), target: { ...target, step: 120 }, second: began(101), script: { ...script, loads } }), /line 9/],
  ['nothing loads', 'no-loading-code', facts({ second: began(1) }), /TRAINGUARD_RESUME_FROM/],
  ['something loads, but not this', 'not-loaded', facts({ second: began(1), script: { ...script, loads } }), /line 9/],
  ['no script to look into', 'not-loaded', { ...facts({ second: began(1) }), script: undefined } as unknown as DrillFacts, /TRAINGUARD_RESUME_FROM/],
  ['the loss goes on, the step does not', 'step-not-restored', facts({ second: began(1, { firstLoss: 0.49 }) }), /start \+ 1/],
  ['it says that it loaded', 'step-not-restored', facts({ second: began(1, { mentions: ['loaded model from /c/checkpoint-20'] }) })],
  ['it says that there was nothing to load', 'no-loading-code', facts({ second: began(1, { mentions: ['no checkpoint to resume from'] }) })],
  ['nothing loads, of a known framework', 'no-loading-code', facts({ second: began(1), framework: 'Lightning: trainer.fit(ckpt_path=…)' }), /^how Lightning: trainer\.fit/],
  ['both say that they load', 'no-loading-code', facts({ first: { ...first, mentions: ['loading data'] }, second: began(1, { mentions: ['loading data'] }) })],
  ['goes on from an older checkpoint', 'other-checkpoint', facts({ second: began(15) })],
  ['goes on where nothing was', 'beyond', facts({ second: began(500) })],
  ['fails when it loads', 'load-error', facts({ second: failed('KeyError: model') }), /what it saves/],
  ['does not know the flag', 'unknown-flag', facts({ recipeArgs: ['--x', '{path}'], second: failed('t.py: error: unrecognized arguments: --x'), script: { ...script, flags: [resumeFlag] } }), /it takes: --resume-args '--resume \{path\}'/],
  ['wants the folder', 'wrong-value', facts({ second: failed('NotADirectoryError: checkpoint-20'), recipeArgs: ['--resume', '{path}'] }), /'--resume \{dir\}'/],
  ['wants the file', 'wrong-value', facts({ second: failed('IsADirectoryError: c'), recipeArgs: ['--resume={dir}'] }), /'--resume=\{path\}'/],
  ['thinks that it is done', 'ended-at-once', facts({ second: done })],
  ['comes to no step', 'no-steps', facts({ second: { ...seen(), timedOutAfterMs: 1000 } })],
  ['never prints a step', 'no-steps', facts({ first: seen(), second: { ...seen(), timedOutAfterMs: 1000 } }), /heartbeat step=/],
  ['saves nothing', 'no-checkpoint', facts({ target: { type: 'none' }, first: { ...first, ended: done.ended! } })],
  ['saves nothing in time', 'no-checkpoint', facts({ target: { type: 'none', timedOutAfterMs: 60_000 } }), /--timeout/],
  ['fails at first', 'first-attempt-failed', facts({ target: { type: 'none' }, first: failed('ImportError: numpy') })],
  ['saves at its end', 'only-at-the-end', facts({ target: { type: 'at-the-end', id: 'final.pt' }, first: { ...first, ended: done.ended! } })],
  ['is over too soon', 'ended-too-soon', facts({ target: { type: 'too-short', id: 'ckpt.pt' }, first: { ...first, ended: done.ended! } })],
  ['leaves torn files', 'damaged-checkpoint', facts({ target: { type: 'damaged', why: 'cut off' } }), /os\.replace/],
  ['writes into its own folder', 'own-folder', facts({ target: { type: 'escaped', dir: '/real' } }), /TRAINGUARD_CHECKPOINT_DIR/],
]; // prettier-ignore

describe('what a drill has shown', () => {
  for (const [name, cause, given, advice] of rows) {
    it(name, () => {
      const verdict = judgeDrill(given);
      assert.equal(verdict.cause, cause, verdict.words);
      assert.equal(verdict.proven, cause === 'resumed');
      assert.equal(verdict.advice.length > 0, !verdict.proven);
      if (advice) assert.match(verdict.advice.join('\n'), advice);
    });
  }
});

describe('how a training is kept away from its own folder', () => {
  const answer = (argv: readonly string[], dir = '/w/out'): unknown => {
    const how = redirect(argv, '/w', dir);
    return how.ok ? how.value : how.error.exit;
  };
  const words = (at: readonly number[], named = '/w/out'): unknown => ({ type: 'words', named, at });

  it('by the words that name it', () => {
    assert.deepEqual(answer(['python', 't.py', '--out', 'out']), words([3]));
    assert.deepEqual(answer(['python', 't.py', '--out=out/', 'x']), words([2]));
    assert.deepEqual(answer(['python', 't.py', 'trainer.dir=out', '--log', '/w/out']), words([2, 4]));
    assert.deepEqual(answer(['python', 't.py', '/w/out']), words([2]));
  });
  it('by a flag that names a folder above it, but not the working directory', () => {
    assert.deepEqual(answer(['python', 't.py', '--out', 'out'], '/w/out/ckpts'), words([3]));
    assert.deepEqual(answer(['python', 't.py', '--data', '.', '--root', '/']), { type: 'cwd' });
    assert.deepEqual(
      answer(['python', 't.py', '--root', 'out', '--ckpts', 'out/c'], '/w/out/c'),
      words([5], '/w/out/c'),
    );
  });
  it('by another working directory where the script has it by heart', () => {
    assert.deepEqual(answer(['python', 't.py']), { type: 'cwd' });
  });
  it('not at all where it lies elsewhere', () => {
    assert.equal(answer(['python', 't.py'], '/elsewhere/out'), 78);
  });
});

describe('what a script says of resuming', () => {
  const of = (name: string): ReturnType<typeof factsOf> =>
    factsOf(name, readFileSync(fixture('drill', name), 'utf8'));

  it('its flags', () => {
    assert.deepEqual(
      of('by_flag.py').flags.map(({ flag }) => flag),
      ['--resume_from'],
    );
    const text =
      'p.add_argument("--resume",\n  action="store_true")\np.add_argument("--workers")\n# "--restore"';
    const at = { file: 't.py', line: 1 };
    assert.deepEqual(factsOf('t.py', text).flags, [{ flag: '--resume', ...at, takesValue: false }]);
    const next = 'p.add_argument("--ckpt")\np.add_argument("--amp", action="store_true")';
    assert.deepEqual(factsOf('t.py', next).flags, [{ flag: '--ckpt', ...at, takesValue: true }]);
  });
  it('that it reads the variable, and what loads', () => {
    assert.ok(of('by_environment.py').variable);
    assert.ok(of('by_environment.py').loads);
    assert.deepEqual(of('only_saves.py'), { file: 'only_saves.py', flags: [] });
  });
  it('also in the modules beside it that it imports', async (t) => {
    const cwd = tempDir(t);
    mkdirSync(path.join(cwd, 'lib'));
    writeFileSync(path.join(cwd, 'train.py'), 'import os, torch\nfrom lib.saving import load\n');
    writeFileSync(path.join(cwd, 'lib', 'saving.py'), 'import train\ndef load(p): return torch.load(p)\n');
    const facts = await readScript(['python', 'train.py'], cwd);
    assert.deepEqual(facts?.loads, {
      file: 'lib/saving.py',
      line: 2,
      text: 'def load(p): return torch.load(p)',
    });
    assert.equal(await readScript(['python', 'gone.py'], cwd), undefined);
    assert.equal(await readScript(['sh', '-c', 'exit'], cwd), undefined);
  });
});
