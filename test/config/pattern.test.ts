import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { loadConfig } from '../../src/config/load.js';
import { compilePattern, type LinePattern } from '../../src/config/pattern.js';
import { tempDir } from '../support/temp-dir.js';

async function compiled(source: string): Promise<LinePattern> {
  const pattern = await compilePattern(source);
  assert.ok(!('problem' in pattern), source);
  return pattern;
}

describe('an expression', () => {
  const cases: readonly [source: string, line: string, groups: Record<string, string> | undefined][] = [
    ['it=(?<step>\\d+)', 'x it=120 y', { step: '120' }],
    ['it=(?P<step>\\d+)(?: l=(?P<loss>\\S+))?', 'it=120', { step: '120' }],
    ['(?i)STEP (?<step>\\d+)', 'step 7', { step: '7' }],
    ['^at (?<step>\\d+)$', 'at 7 or so', undefined],
    ['Schritt (?<step>\\p{Nd}+) → (?<loss>.*)', 'Schritt 3 → nan', { step: '3', loss: 'nan' }],
  ];
  for (const [source, line, groups] of cases) {
    test(`${source} on ${line}`, async () => {
      const pattern = await compiled(source);
      assert.deepEqual(pattern.groups(line), groups);
      assert.equal(pattern.test(line), groups !== undefined);
    });
  }

  test('takes no longer on a line made against it than on any other', async () => {
    const hostile = await compiled('(?<x>a+)+$');
    const benign = await compiled('(?<x>a+)b?$');
    const line = `${'a'.repeat(65_535)}!`;
    const ms = (pattern: LinePattern): number => {
      let least = Infinity;
      for (let i = 0; i < 3; i++) {
        const before = performance.now();
        assert.equal(pattern.groups(line), undefined);
        least = Math.min(least, performance.now() - before);
      }
      return least;
    };
    // an engine that tries again would be at it for longer than the universe lasts
    const [slow, quick] = [ms(hostile), ms(benign)];
    assert.ok(slow < 20 * quick + 20, `${slow} ms to ${quick} ms`);
  });
});

describe('a configuration with one', () => {
  const rule = (pattern: string): object => ({
    failures: [{ match: { exitCodes: [3] } }, { match: { pattern } }],
  });
  const heartbeat = (pattern: string): object => ({ heartbeat: { pattern } });
  const linear =
    'must be a regular expression without look-ahead, look-behind, backreferences and repetitions beyond 1,000, so that no line can take for ever, not';
  const refused: readonly [config: object, message: string][] = [
    [heartbeat('(?<=at )(?<step>\\d+)'), `heartbeat.pattern ${linear} "(?<=at )(?<step>\\\\d+)".`],
    [heartbeat('(?<step>\\d+) \\k<step>'), `heartbeat.pattern ${linear} "(?<step>\\\\d+) \\\\k<step>".`],
    [heartbeat('step \\d+'), 'heartbeat.pattern must have a named group, such as (?<step>[0-9]+), not "step \\\\d+".'],
    [rule('x(?!y)'), `failures[1].match.pattern ${linear} "x(?!y)".`],
    [rule('['), 'failures[1].match.pattern must be a regular expression, not "[".'],
  ]; // prettier-ignore
  const load = (t: Parameters<typeof tempDir>[0], config: object): ReturnType<typeof loadConfig> => {
    const cwd = tempDir(t);
    writeFileSync(path.join(cwd, 'recovery.config.json'), JSON.stringify(config));
    return loadConfig({ cwd, env: {} });
  };
  for (const [config, message] of refused) {
    test(`is refused: ${JSON.stringify(config)}`, async (t) => {
      const loaded = await load(t, config);
      assert.ok(!loaded.ok);
      assert.equal(loaded.error.message.replace(/^\S*recovery\.config\.json, line 1: /, ''), message);
    });
  }

  test('has it compiled, by its source', async (t) => {
    const loaded = await load(t, { ...heartbeat('at (?<step>\\d+)'), ...rule('boom') });
    assert.ok(loaded.ok);
    assert.deepEqual([...(loaded.value.patterns?.keys() ?? [])], ['at (?<step>\\d+)', 'boom']);
    assert.deepEqual(loaded.value.notices, []);
  });
});
