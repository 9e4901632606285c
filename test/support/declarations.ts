import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** The package as it was built: its `package.json` stands in the repository's root, its code here. */
export const built = path.resolve(import.meta.dirname, '..', '..');

/** Something that `import … from 'trainguard'` gives, as its published declaration says it. */
export interface Exported {
  readonly name: string;
  /** It is there when the program runs, not only for the compiler. */
  readonly isValue: boolean;
  readonly declaration: ts.Node;
}

/** A function, a class, or a method, accessor or property of a class, that a program may use. */
export interface Usable {
  /** `classify`, `RecoveryManager`, `RecoveryManager.heartbeat`. */
  readonly name: string;
  readonly declaration: ts.Node;
}

let known: Exported[] | undefined;

/** Everything that index exports. It may hold nothing but `export { … } from` and `export type { … } from`. */
export const exported = (): readonly Exported[] => (known ??= readIndex());

function readIndex(): Exported[] {
  const index = path.join(built, 'src', 'index.d.ts');
  return parse(index).statements.flatMap((statement) => {
    const named = ts.isExportDeclaration(statement) ? statement.exportClause : undefined;
    const from = ts.isExportDeclaration(statement) ? statement.moduleSpecifier : undefined;
    if (!named || !ts.isNamedExports(named) || !from || !ts.isStringLiteral(from)) {
      throw new Error(`index.d.ts holds something else than names: ${statement.getText()}`);
    }
    const file = path.resolve(path.dirname(index), from.text.replace(/\.js$/, '.d.ts'));
    return named.elements.map((one) => ({
      name: one.name.text,
      isValue: !(ts.isExportDeclaration(statement) && statement.isTypeOnly) && !one.isTypeOnly,
      declaration: find(file, (one.propertyName ?? one.name).text),
    }));
  });
}

/** The exported functions and classes, and what is public of the classes. */
export function usable(): Usable[] {
  return exported()
    .filter(({ isValue }) => isValue)
    .flatMap(({ name, declaration }) => [
      { name, declaration },
      ...publicMembers(declaration).map((member) => ({
        name: `${name}.${member.name}`,
        declaration: member.declaration,
      })),
    ]);
}

/** Overloads count once, by the first. */
function publicMembers(node: ts.Node): Usable[] {
  if (!ts.isClassDeclaration(node)) return [];
  const members = new Map<string, ts.ClassElement>();
  for (const member of node.members) {
    const name = member.name;
    if (!name || !ts.isIdentifier(name) || isHidden(member) || members.has(name.text)) continue;
    members.set(name.text, member);
  }
  return [...members].map(([name, declaration]) => ({ name, declaration }));
}

const isHidden = (member: ts.ClassElement): boolean =>
  (ts.getCombinedModifierFlags(member) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) !== 0;

/** A method as docs write it: `heartbeat(workerId, state?)`. Of overloads the first. */
export function signatureOf(owner: string, method: string): string {
  const found = usable().find(({ name }) => name === `${owner}.${method}`)?.declaration;
  if (!found || !ts.isMethodDeclaration(found)) throw new Error(`${owner} has no public method ${method}`);
  const parameters = found.parameters.map(
    ({ name, questionToken }) => `${name.getText()}${questionToken ? '?' : ''}`,
  );
  return `${method}(${parameters.join(', ')})`;
}

/** The declarations' files that index reaches, and what each imports; with slashes, relative to src. */
export function reached(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const follow = (file: string): void => {
    const relative = path.relative(path.join(built, 'src'), file).replaceAll(path.sep, '/');
    if (found.has(relative)) return;
    const text = readFileSync(file, 'utf8');
    const { importedFiles, typeReferenceDirectives } = ts.preProcessFile(text);
    const specifiers = [...importedFiles, ...typeReferenceDirectives].map(({ fileName }) => fileName);
    found.set(relative, specifiers);
    for (const specifier of specifiers.filter((one) => one.startsWith('.'))) {
      follow(path.resolve(path.dirname(file), specifier.replace(/\.js$/, '.d.ts')));
    }
  };
  follow(path.join(built, 'src', 'index.d.ts'));
  return found;
}

const parse = (file: string): ts.SourceFile =>
  ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2023, true);

function find(file: string, name: string): ts.Node {
  for (const statement of parse(file).statements) {
    if (ts.isVariableStatement(statement)) {
      const one = statement.declarationList.declarations.find(({ name: own }) => own.getText() === name);
      if (one) return one;
    } else if (
      (ts.isClassDeclaration(statement) ||
        ts.isFunctionDeclaration(statement) ||
        ts.isInterfaceDeclaration(statement) ||
        ts.isTypeAliasDeclaration(statement)) &&
      statement.name?.text === name
    ) {
      return statement;
    }
  }
  throw new Error(`${file} declares no ${name}`);
}

/** The code blocks of a declaration's `@example` tags. */
export function examplesOf(declaration: ts.Node): string[] {
  return ts
    .getJSDocTags(declaration)
    .filter(({ tagName }) => tagName.text === 'example')
    .flatMap(({ comment }) => {
      const text = ts.getTextOfJSDocComment(comment) ?? '';
      const blocks = codeBlocks(text).map(({ code }) => code);
      // all of it is code, where no block says so
      return blocks.length > 0 || text === '' ? blocks : [`${text}\n`];
    });
}

export interface CodeBlock {
  readonly language: 'ts' | 'text';
  readonly code: string;
}

/** The ```ts and ```text blocks of a Markdown text. */
export const codeBlocks = (markdown: string): CodeBlock[] =>
  [...markdown.matchAll(/^```(ts|text)\n([\s\S]*?)^```/gm)].map(([, language, code]) => ({
    language: language === 'ts' ? 'ts' : 'text',
    code: code ?? '',
  }));
