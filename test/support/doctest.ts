import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { built } from './declarations.js';
import { root } from './root.js';
import { runProgram } from './run-cli.js';
import { tempDir } from './temp-dir.js';
import type { TestEnd } from './cleanup.js';

/** A program in TypeScript that says, as a rule, beside each `console.log(…)` what it prints: `console.log(1 + 1); // 2`. */
export interface Doctest {
  readonly name: string;
  readonly code: string;
  /** The lines that it prints, where it does not say so itself. */
  readonly prints?: readonly string[];
}

/** What came of one. All of it is empty if it is right. */
export interface Outcome {
  /** The compiler's complaints. */
  readonly complaints: readonly string[];
  readonly expected: readonly string[];
  readonly printed: readonly string[];
  /** What it threw. */
  readonly thrown?: string;
}

/**
 * Compiles programs that `import … from 'trainguard'`, strictly and together, and runs them one after the other, each
 * in an empty folder, against the package as it was built.
 */
export async function runDoctests(t: TestEnd, tests: readonly Doctest[]): Promise<Outcome[]> {
  const dir = tempDir(t);
  standIn(dir);
  const files = tests.map(({ code }, index) => {
    const file = path.join(dir, `example-${index}.ts`);
    // what has neither import nor export is no module, and may not await
    writeFileSync(file, `${code}\nexport {};\n`);
    return file;
  });
  const complaints = compile(files);
  writeFileSync(path.join(dir, 'main.mjs'), runner);
  const { code, stdout, stderr } = await runProgram(
    t,
    [process.execPath, path.join(dir, 'main.mjs'), String(tests.length)],
    { cwd: dir, timeoutMs: 300_000 },
  ).done;
  if (code !== 0) throw new Error(`the examples' process ended with ${code}: ${stderr}`);
  const ran = JSON.parse(stdout) as { printed: string[]; thrown?: string }[];
  return tests.map((test, index) => ({
    complaints: complaints.get(files[index]!) ?? [],
    expected: test.prints ?? expectedOf(test.code),
    printed: ran[index]!.printed,
    ...(ran[index]!.thrown !== undefined && { thrown: ran[index]!.thrown }),
  }));
}

/** A folder with a program's own node_modules, in which the package is what was built. */
function standIn(dir: string): void {
  const modules = path.join(dir, 'node_modules');
  const own = path.join(modules, 'trainguard');
  mkdirSync(own, { recursive: true });
  copyFileSync(path.join(root, 'package.json'), path.join(own, 'package.json'));
  symlinkSync(built, path.join(own, 'dist'));
  symlinkSync(path.join(root, 'node_modules', '@types'), path.join(modules, '@types'));
  writeFileSync(path.join(dir, 'package.json'), '{ "type": "module" }');
}

function compile(files: readonly string[]): Map<string, string[]> {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    types: ['node'],
    // the declarations themselves are checked by `npm run check:package`
    skipLibCheck: true,
  });
  program.emit();
  const complaints = new Map<string, string[]>();
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const at = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    const said = `line ${at}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    const name = file ? path.resolve(file.fileName) : '';
    complaints.set(name, [...(complaints.get(name) ?? []), said]);
  }
  return complaints;
}

/** What it says that it prints. */
const expectedOf = (code: string): string[] =>
  code.split('\n').flatMap((line) => {
    if (!line.includes('console.log(')) return [];
    return [/\/\/ (.*)$/.exec(line)?.[1] ?? `(it does not say what this prints: ${line.trim()})`];
  });

/** Whether what was printed is what was said; `…` stands for anything. */
export const saysTheSame = (expected: string, printed: string): boolean =>
  new RegExp(
    `^${expected
      .split('…')
      .map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'))
      .join('.*')}$`,
    's',
  ).test(printed);

const runner = `
import { mkdirSync } from 'node:fs';
import { format } from 'node:util';
const results = [];
for (let index = 0; index < Number(process.argv[2]); index++) {
  const printed = [];
  console.log = (...values) => printed.push(format(...values).replaceAll(/\\s+/g, ' '));
  const folder = new URL('run-' + index + '/', import.meta.url);
  mkdirSync(folder);
  process.chdir(new URL(folder).pathname);
  const thrown = await import('./example-' + index + '.js').then(
    () => undefined,
    (error) => String(error?.stack ?? error),
  );
  results.push({ printed, thrown });
}
process.stdout.write(JSON.stringify(results));
`;
