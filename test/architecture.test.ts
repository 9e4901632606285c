import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { type Import, parse, type Source } from './architecture-source.js';

// Holds DESIGN section 3's table of who may import whom. To add a folder under src/, add its row.

interface Row {
  /** Areas, or single modules, that it may use; its own area is always allowed. */
  readonly uses: readonly string[];
  /** Areas, or single modules, of which it may use types alone. */
  readonly types?: readonly string[];
  readonly node?: true;
  /** Dependencies of package.json: any, or these. */
  readonly packages?: true | readonly string[];
  /** No clock, no chance, no process: the same input gives the same output. */
  readonly pure?: true;
}

const core = ['policy', 'failure', 'progress'];
const adapter: Row = {
  // the policy's vocabulary for checkpoints comes with two predicates on it
  uses: ['util', 'util/os', 'policy/checkpoint.ts'],
  types: [...core, 'supervisor/ports.ts'],
  node: true,
  packages: true,
};
const areas = [
  ...core,
  'engines',
  'checkpoints',
  'runs',
  'report',
  'config',
  'supervisor',
  'recovery',
  'serve',
  'util',
  'util/os',
];

const table: Readonly<Record<string, Row>> = {
  policy: { uses: ['util'], types: core, pure: true },
  failure: { uses: ['util'], types: core, pure: true },
  progress: { uses: ['util'], types: core, pure: true },
  util: { uses: [], pure: true },
  'util/os': { uses: ['util'], node: true, packages: ['@node-rs/xxhash'] },
  engines: adapter,
  checkpoints: adapter,
  runs: adapter,
  // it tells what the loop says of itself
  report: { ...adapter, types: [...core, 'supervisor/ports.ts', 'supervisor/parts.ts'] },
  config: { uses: ['util', 'util/os'], types: core, node: true, packages: true },
  supervisor: { uses: [...core, 'util', 'util/os'], node: true },
  // the library: it wires for programs what commands wires for the command line
  recovery: {
    uses: [...core, 'engines', 'checkpoints', 'runs', 'config', 'util', 'util/os'],
    types: ['supervisor/ports.ts'],
    node: true,
    packages: true,
  },
  serve: { uses: ['recovery', 'runs', 'config', 'util', 'util/os'], node: true, packages: true },
  commands: { uses: areas, types: ['cli.ts'], node: true, packages: true },
  'cli.ts': { uses: ['commands', 'program.ts', 'util'], node: true },
  'program.ts': {
    uses: ['commands', 'util', 'program-checkpoints.ts', 'program-flags.ts', 'program-serve.ts'],
  },
  'program-checkpoints.ts': { uses: ['commands', 'program-flags.ts'] },
  'program-serve.ts': { uses: ['commands', 'program-flags.ts'] },
  'program-flags.ts': { uses: ['config', 'util'], packages: ['commander'] },
  // what `import … from 'trainguard'` gives
  'index.ts': { uses: areas },
};

const root = new URL('../../', import.meta.url);
const { dependencies } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
  dependencies: Record<string, string>;
};
const sources = readdirSync(new URL('src', root), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => parse(file.replaceAll(path.sep, '/'), readFileSync(new URL(`src/${file}`, root), 'utf8')));

test('every import is allowed by the table', () => {
  assert.ok(sources.length > 20);
  assert.deepEqual(sources.flatMap(violations), []);
});

test('each dependency is imported by one module', () => {
  for (const name of Object.keys(dependencies)) {
    const importers = sources.filter(({ imports }) =>
      imports.some((one) => packageOf(one.specifier) === name),
    );
    assert.ok(
      importers.length <= 1,
      `${name} is imported by ${importers.map(({ file }) => file).join(' and ')}`,
    );
  }
});

const caught: readonly [string, string, RegExp][] = [
  ['policy/x.ts', `import fs from 'node:fs';`, /policy\/x\.ts imports node:fs/],
  ['policy/x.ts', `import { bootId } from '../util/os/boot.js';`, /imports util\/os\/boot\.ts/],
  ['policy/x.ts', `import { classify } from '../failure/classify.js';`, /failure\/classify\.ts: only types/],
  ['policy/x.ts', `import { type A, b } from '../failure/types.js';`, /only types/],
  ['policy/x.ts', `export * from '../progress/fold.js';`, /only types/],
  ['failure/x.ts', `import { z } from 'zod';`, /imports zod/],
  ['progress/x.ts', `const at = Date.now();`, /Date\.now/],
  ['progress/x.ts', `const at = new Date();`, /new Date\(\)/],
  ['policy/x.ts', `const chance = Math['random']();`, /Math\.random/],
  ['policy/x.ts', `const { random } = Math;`, /Math/],
  ['policy/x.ts', `setTimeout(f, 1);`, /setTimeout/],
  ['failure/x.ts', `const home = process.env['HOME'];`, /process/],
  ['util/x.ts', `export const now = () => performance.now();`, /performance/],
  ['util/x.ts', `import type { State } from '../policy/state.js';`, /imports policy\/state\.ts/],
  ['util/os/x.ts', `import { pino } from 'pino';`, /imports pino/],
  ['runs/x.ts', `import { scan } from '../checkpoints/scan.js';`, /imports checkpoints\/scan\.ts/],
  ['engines/local/x.ts', `import type { Run } from '../../runs/run-dir.js';`, /imports runs\/run-dir\.ts/],
  ['report/x.ts', `import { transition } from '../policy/transition.js';`, /only types/],
  ['checkpoints/x.ts', `import type { Loop } from '../supervisor/loop.js';`, /imports supervisor\/loop\.ts/],
  ['supervisor/x.ts', `import { Journal } from '../runs/journal.js';`, /imports runs\/journal\.ts/],
  ['supervisor/x.ts', `type Run = import('../runs/run-dir.js').Run;`, /imports runs\/run-dir\.ts/],
  ['commands/x.ts', `import { main } from '../cli.js';`, /cli\.ts: only types/],
  ['runs/x.ts', `const f = eval;`, /eval/],
  ['config/x.ts', `import { run } from '../commands/run.js';`, /imports commands\/run\.ts/],
  ['runs/x.ts', `await import('../engines/local/launch.js');`, /imports engines\/local\/launch\.ts/],
  ['runs/x.ts', `const name = '../engines/x.js'; await import(name);`, /import\(\) of what is not a literal/],
  ['runs/x.ts', `import { createRequire } from 'node:module';`, /createRequire/],
  ['runs/x.ts', `const fs = require('fs');`, /require/],
  ['runs/x.ts', `const fs = process.getBuiltinModule('fs');`, /getBuiltinModule/],
  ['runs/x.ts', `const f = new Function('return 1');`, /Function/],
  ['runs/x.ts', `import fs from 'fs';`, /say node:fs/],
  ['runs/x.ts', `import _ from 'lodash';`, /lodash is no dependency/],
  ['novel/x.ts', `export const a = 1;`, /no row for novel/],
];
for (const [file, text, expected] of caught) {
  test(`a violation is caught: ${file}: ${text}`, () => {
    assert.match(violations(parse(file, text)).join('\n'), expected);
  });
}

const allowed: readonly [string, string][] = [
  ['policy/x.ts', `import type { Exit } from '../failure/types.js'; import { ok } from '../util/result.js';`],
  [
    'policy/x.ts',
    `import { type Exit } from '../failure/types.js'; export type { A } from '../progress/types.js';`,
  ],
  [
    'policy/x.ts',
    `import { next } from './next.js'; const at = new Date(5); const x = { process: 1 }.process;`,
  ],
  [
    'runs/x.ts',
    `import fs from 'node:fs'; import type { Clock } from '../supervisor/ports.js'; await import('pino');`,
  ],
  ['cli.ts', `await import('./commands/run.js');`],
];
for (const [file, text] of allowed) {
  test(`what is right is let through: ${file}: ${text}`, () => {
    assert.deepEqual(violations(parse(file, text)), []);
  });
}

function violations(source: Source): string[] {
  const { file } = source;
  const area = areaOf(file);
  const row = table[area];
  if (!row) return [`${file}: the table has no row for ${area}`];
  return [
    ...source.imports.flatMap((one) => {
      const problem = problemOf(file, row, one);
      return problem === undefined ? [] : [`${file} imports ${problem}`];
    }),
    ...source.bypasses.map((what) => `${file} goes round the table by ${what}`),
    ...(row.pure ? source.impurities.map((what) => `${file} is to be pure, but uses ${what}`) : []),
  ];
}

function problemOf(file: string, row: Row, { specifier, typesOnly }: Import): string | undefined {
  if (specifier.startsWith('.')) {
    const target = path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, '.ts');
    const area = areaOf(target);
    if (area === areaOf(file) || row.uses.includes(area) || row.uses.includes(target)) return undefined;
    const asType = row.types?.includes(area) === true || row.types?.includes(target) === true;
    if (!asType) return target;
    return typesOnly ? undefined : `${target}: only types of it are allowed (import type)`;
  }
  if (specifier.startsWith('node:')) return row.node ? undefined : specifier;
  if (isBuiltin(specifier)) return `${specifier}: say node:${specifier}`;
  if (row.packages !== true && !row.packages?.includes(packageOf(specifier))) return specifier;
  return packageOf(specifier) in dependencies
    ? undefined
    : `${specifier}: ${specifier} is no dependency in package.json`;
}

/** `util/os/boot.ts` → `util/os`, `engines/local/x.ts` → `engines`, `cli.ts` → itself. */
function areaOf(file: string): string {
  if (file.startsWith('util/os/')) return 'util/os';
  return file.split('/')[0] ?? '';
}

/** `@node-rs/xxhash/x` → `@node-rs/xxhash`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
