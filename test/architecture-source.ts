import ts from 'typescript';

export interface Import {
  readonly specifier: string;
  readonly typesOnly: boolean;
}

export interface Source {
  /** Relative to src/, with slashes. */
  readonly file: string;
  readonly imports: readonly Import[];
  /** Ways around the table, and what pure code must not touch. */
  readonly bypasses: readonly string[];
  readonly impurities: readonly string[];
}

/** What one module of src/ imports, and what it touches that the table forbids. */
export function parse(file: string, text: string): Source {
  const imports: Import[] = [];
  const bypasses: string[] = [];
  const impurities: string[] = [];
  const visit = (node: ts.Node): void => {
    const found = importOf(node);
    if (found) imports.push(found);
    const bypass = bypassOf(node);
    if (bypass !== undefined) bypasses.push(bypass);
    const impurity = impurityOf(node);
    if (impurity !== undefined) impurities.push(impurity);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true));
  return { file, imports, bypasses, impurities };
}

function importOf(node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const clause = node.importClause;
    const named = clause?.namedBindings;
    const eachType =
      named && ts.isNamedImports(named) && !clause.name && named.elements.every((one) => one.isTypeOnly);
    const typesOnly = clause?.phaseModifier === ts.SyntaxKind.TypeKeyword || eachType === true;
    return { specifier: node.moduleSpecifier.text, typesOnly };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typesOnly: node.isTypeOnly };
  }
  if (
    ts.isImportTypeNode(node) &&
    ts.isLiteralTypeNode(node.argument) &&
    ts.isStringLiteral(node.argument.literal)
  ) {
    return { specifier: node.argument.literal.text, typesOnly: true };
  }
  if (isDynamicImport(node)) {
    const [argument] = node.arguments;
    if (argument && ts.isStringLiteral(argument)) return { specifier: argument.text, typesOnly: false };
  }
  return undefined;
}

const isDynamicImport = (node: ts.Node): node is ts.CallExpression =>
  ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;

function bypassOf(node: ts.Node): string | undefined {
  if (isDynamicImport(node) && !(node.arguments[0] && ts.isStringLiteral(node.arguments[0]))) {
    return 'import() of what is not a literal';
  }
  if (ts.isImportEqualsDeclaration(node)) return 'import =';
  if (!ts.isIdentifier(node)) return undefined;
  if (['createRequire', 'getBuiltinModule'].includes(node.text)) return node.text;
  return ['require', 'Function', 'eval'].includes(node.text) && isGlobalUse(node) && !isInType(node)
    ? node.text
    : undefined;
}

const impureGlobals = new Set(
  (
    'process performance crypto console fetch globalThis global setTimeout setInterval setImmediate ' +
    'queueMicrotask Atomics SharedArrayBuffer'
  ).split(' '),
);

function impurityOf(node: ts.Node): string | undefined {
  if (!ts.isIdentifier(node) || !isGlobalUse(node) || isInType(node)) return undefined;
  if (impureGlobals.has(node.text)) return node.text;
  const { parent } = node;
  if (node.text === 'Date') {
    if (ts.isNewExpression(parent)) return parent.arguments?.length ? undefined : 'new Date()';
    const member = memberOf(node);
    return member === 'UTC' || member === 'parse'
      ? undefined
      : `Date${member === undefined ? '' : `.${member}`}`;
  }
  if (node.text !== 'Math') return undefined;
  const member = memberOf(node);
  // Math that is passed around may be asked for anything
  if (member === undefined) return 'Math as a value';
  return member === 'random' ? 'Math.random' : undefined;
}

function memberOf(node: ts.Identifier): string | undefined {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name.text;
  if (!ts.isElementAccessExpression(parent)) return undefined;
  return ts.isStringLiteral(parent.argumentExpression) ? parent.argumentExpression.text : undefined;
}

/** Whether an identifier stands for a variable, rather than naming a property or a member. */
function isGlobalUse(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) || ts.isQualifiedName(parent))
    return parent.getStart() === node.getStart();
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isMethodSignature(parent)) {
    return ts.isPropertyAssignment(parent) && parent.initializer === node;
  }
  return !(ts.isMethodDeclaration(parent) || ts.isPropertyDeclaration(parent)) || parent.name !== node;
}

function isInType(node: ts.Node): boolean {
  for (let at = node; !ts.isSourceFile(at); at = at.parent) if (ts.isTypeNode(at)) return true;
  return false;
}
