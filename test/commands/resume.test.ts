import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { layouts } from '../../src/checkpoints/layouts/registry.js';
import { applyResume } from '../../src/commands/resume.js';
import {
  idlePreset,
  planResume,
  recipeFor,
  resumeAdvice,
  splitWords,
} from '../../src/commands/resume-plan.js';

const point = { path: '/c/step-40', step: 40, dir: '/c' };
const command = (...words: readonly string[]): [string, ...string[]] => ['python', 't.py', ...words];
const added = (given: readonly string[], args: readonly string[]): readonly string[] =>
  applyResume(command(...given), { args }, point).argv.slice(2);

describe('the command of an attempt that resumes', () => {
  it('is the user’s own without a checkpoint', () => {
    const recipe = { args: ['--resume', '{path}'], env: { A: '1' }, replace: { scratch: 'resume' } };
    assert.deepEqual(applyResume(command('scratch'), recipe, undefined), {
      argv: command('scratch'),
      env: {},
    });
  });

  const rows: readonly [readonly string[], readonly string[], readonly string[]][] = [
    [[], ['--resume', '{path}'], ['--resume', '/c/step-40']],
    [
      ['--lr', '1'],
      ['--resume={step}', '--in={dir}'],
      ['--lr', '1', '--resume=40', '--in=/c'],
    ],
    // given already: its value is replaced, never given twice
    [
      ['--resume', 'old', '--lr', '1'],
      ['--resume', '{path}'],
      ['--resume', '/c/step-40', '--lr', '1'],
    ],
    [['--resume=old'], ['--resume', '{path}'], ['--resume=/c/step-40']],
    [['--resume', 'old'], ['--resume={path}'], ['--resume', '/c/step-40']],
    [
      ['--resume-from', 'old'],
      ['--resume_from', '{path}'],
      ['--resume-from', '/c/step-40'],
    ],
    [
      ['--resume', '--lr', '1'],
      ['--resume', '{path}'],
      ['--resume', '/c/step-40', '--lr', '1'],
    ],
    [['--resume'], ['--resume'], ['--resume']],
    [['--resume=yes'], ['--resume'], ['--resume=yes']],
    [['trainer.ckpt=old', 'x'], ['trainer.ckpt={path}'], ['trainer.ckpt=/c/step-40', 'x']],
    [['+ckpt_path=null'], ['+ckpt_path={path}'], ['+ckpt_path=/c/step-40']],
    [
      ['--resume-mode', 'a'],
      ['--resume', '{path}'],
      ['--resume-mode', 'a', '--resume', '/c/step-40'],
    ],
    [[], ['last', '--resume', '{path}', '--auto'], ['last', '--resume', '/c/step-40', '--auto']],
  ];
  for (const [given, args, expected] of rows) {
    it(`${given.join(' ') || 'nothing'} and ${args.join(' ')}`, () => {
      assert.deepEqual(added(given, args), expected);
    });
  }

  it('fills in words that are replaced, and the environment', () => {
    const recipe = { replace: { scratch: 'resume={path}' }, env: { FROM: '{path}', STEP: '{step}' } };
    const { argv, env } = applyResume(command('scratch'), recipe, point);
    assert.deepEqual(argv, command('resume=/c/step-40'));
    assert.deepEqual(env, { FROM: '/c/step-40', STEP: '40' });
  });
});

describe('presets', () => {
  const planned = (config: Parameters<typeof planResume>[0], flag?: string): unknown => {
    const plan = planResume(config, flag);
    return plan.ok ? plan.value : plan.error;
  };
  const preset = layouts.find(({ name }) => name === 'huggingface')?.resume.args;

  it('are asked for by --resume-args or resume.preset, by name or as recognised', () => {
    assert.deepEqual(planned({}, 'preset'), { preset: 'auto' });
    assert.deepEqual(planned({ args: ['--x'] }, 'preset:huggingface'), { preset: 'huggingface' });
    assert.deepEqual(planned({ preset: 'auto', args: [] }), { preset: 'auto' });
    assert.deepEqual(planned({ preset: 'auto' }, '--x {path}'), { args: ['--x', '{path}'] });
    assert.deepEqual(planned({ args: ['--y'], env: { A: '1' } }), { args: ['--y'], env: { A: '1' } });
  });
  it('are refused by an unknown name', () => {
    assert.match(JSON.stringify(planned({}, 'preset:hugingface')), /did you mean huggingface.*"exit":64/);
    assert.match(
      JSON.stringify(planned({ preset: 'nope' })),
      /resume\.preset names no preset nope.*"exit":78/,
    );
  });
  it('give what the user did not say', () => {
    assert.ok(preset);
    assert.deepEqual(recipeFor({ preset: 'auto' }, 'huggingface').args, preset);
    assert.deepEqual(recipeFor({ preset: 'huggingface' }, 'generic').args, preset);
    assert.deepEqual(recipeFor({ preset: 'auto', args: ['--mine'] }, 'huggingface').args, ['--mine']);
    assert.deepEqual(recipeFor({}, 'huggingface').args, undefined);
  });
  it('say so where they do nothing', () => {
    assert.match(idlePreset({ preset: 'auto' }, 'generic') ?? '', /adds nothing.*TRAINGUARD_RESUME_FROM/);
    assert.equal(idlePreset({ preset: 'auto' }, 'huggingface'), undefined);
    assert.equal(idlePreset({}, 'generic'), undefined);
  });
  it('are named to whoever did not resume', () => {
    assert.match(
      resumeAdvice({}, 'huggingface'),
      /--resume-args '--resume_from_checkpoint \{path\}' \(or --resume-args preset\)/,
    );
    assert.match(
      resumeAdvice({ args: ['--r', '{path}'] }, 'generic'),
      /given the flags --r \{path\}, TRAINGUARD_RESUME_FROM/,
    );
  });
});

describe('words of --resume-args', () => {
  const split = (text: string): unknown => {
    const words = splitWords(text);
    return words.ok ? words.value : words.error.message;
  };
  it('are split as by a shell', () => {
    assert.deepEqual(split(` --a 'b c' "d\\"e" f\\ g '' `), ['--a', 'b c', 'd"e', 'f g', '']);
    assert.match(String(split(`--a 'b`)), /never closed/);
  });
});
