// Packs the package as it would be published and uses it as a stranger would: installed from the tarball into an empty
// folder, by JavaScript, by TypeScript and from the command line. Run by `npm run check:package`; needs the registry.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const own = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const dir = mkdtempSync(path.join(os.tmpdir(), 'trainguard-package-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

const run = (cwd, program, ...args) => {
  try {
    return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    console.error(`✖ ${program} ${args.join(' ')}\n${error.stdout}${error.stderr}`);
    process.exit(1);
  }
};
const check = (holds, what) => {
  console.log(`${holds ? '✔' : '✖'} ${what}`);
  if (!holds) process.exit(1);
};

// the build is there: `npm run check:package` made it, as `prepare` does before a publication
const [packed] = JSON.parse(
  run(root, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', dir),
);
const tarball = path.join(dir, packed.filename);
const files = packed.files.map((file) => file.path);

const wanted = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|recovery\.config\.example\.json)$/,
  /^bin\/trainguard\.js$/,
  /^dist\/bin\/.+\.js$/,
  /^dist\/src\/.+\.(js|d\.ts)$/,
  /^src\/client\/trainguard_client\.py$/,
  /^docs\/[\w-]+\.md$/,
  /^fixtures\/ray\/train\.py$/,
];
// what index needs, whether at once or later
const seen = new Set();
const follow = (file) => {
  if (seen.has(file)) return;
  seen.add(file);
  const text = readFileSync(path.join(root, file), 'utf8');
  for (const [, name] of text.matchAll(/(?:from|import\(|new URL\()\s*'(\.[^']+\.js)'/g)) {
    follow(path.posix.join(path.posix.dirname(file), name));
  }
};
follow('dist/src/index.js');
const unpacked = [...seen].filter((file) => !files.includes(file));
check(unpacked.length === 0, `every module that index needs is packed (${seen.size}) ${unpacked.join(' ')}`);
const surplus = files.filter((file) => !wanted.some((pattern) => pattern.test(file)));
check(
  surplus.length === 0,
  `nothing is packed but what is used${surplus.map((file) => `\n    ${file}`).join('')}`,
);
const missing = wanted.filter((pattern) => !files.some((file) => pattern.test(file)));
check(missing.length === 0, `all that is used is packed ${missing.join(' ')}`);
console.log(
  `  ${files.length} files, ${(packed.size / 1024).toFixed(0)} KiB packed, ${(packed.unpackedSize / 1024).toFixed(0)} KiB unpacked`,
);

run(root, 'npx', 'publint', 'run', tarball, '--strict');
check(true, 'publint --strict');
run(root, 'npx', 'attw', tarball, '--profile', 'esm-only');
check(true, 'attw --profile esm-only');

const stranger = path.join(dir, 'stranger');
mkdirSync(stranger);
writeFileSync(
  path.join(stranger, 'package.json'),
  '{ "name": "stranger", "private": true, "type": "module" }',
);
const needed = ['typescript', '@types/node'].map((name) => `${name}@${own.devDependencies[name]}`);
run(stranger, 'npm', 'install', '--no-audit', '--no-fund', tarball, ...needed);
check(true, 'installs from the tarball into an empty folder');

const program = `import { RecoveryManager } from 'trainguard';
const manager = new RecoveryManager({ checkpointDir: 'checkpoints' });
await manager.registerWorker('gpu-0');
await manager.saveCheckpoint('gpu-0', { step: 3 });
console.log(await manager.loadCheckpoint('gpu-0'), await manager.heartbeat('gpu-0', { currentBatch: 4 }));
await manager.close();
`;
writeFileSync(path.join(stranger, 'use.mjs'), program);
check(run(stranger, process.execPath, 'use.mjs') === '{ step: 3 } true\n', 'JavaScript imports it');

const common = program
  .replace(/^import.*\n/, '')
  .replace(/^await/gm, '  await')
  .replace('console', '  console');
writeFileSync(
  path.join(stranger, 'use.cjs'),
  `const { RecoveryManager } = require('trainguard');\n(async () => {\n${common}})();\n`,
);
// ESM alone: Node requires it from 20.19 on, since nothing in it awaits at the top level
check(run(stranger, process.execPath, 'use.cjs') === '{ step: 3 } true\n', 'CommonJS requires it');

const types = readFileSync(path.join(root, 'src', 'index.ts'), 'utf8')
  .match(/export type \{[^}]*\}/g)
  .flatMap((one) => one.slice('export type {'.length, -1).split(','))
  .map((name) => name.trim())
  .filter((name) => name !== '');
writeFileSync(
  path.join(stranger, 'use.ts'),
  `${program}export type { ${types.join(', ')} } from 'trainguard';\n`,
);
// no `types`: from TypeScript 6 on none are taken in by themselves, so ours must ask for Node's
const options = '--strict --skipLibCheck false --target es2022 --outDir out'.split(' ');
for (const compiler of [own.devDependencies.typescript, 'latest']) {
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const how = ['--module', module, '--moduleResolution', moduleResolution, ...options];
    run(stranger, 'npm', 'exec', '--yes', `--package=typescript@${compiler}`, '--', 'tsc', 'use.ts', ...how);
    const what = `TypeScript ${compiler}, libraries checked, moduleResolution ${moduleResolution}`;
    check(true, `compiles against it: ${what}`);
  }
}
check(run(stranger, process.execPath, 'out/use.js') === '{ step: 3 } true\n', 'what it compiled runs');

check(run(stranger, 'npx', 'trainguard', '--version').trim() === own.version, 'the command starts');
const client = run(stranger, 'npx', 'trainguard', 'client', 'python');
writeFileSync(path.join(stranger, 'trainguard_client.py'), client);
run(stranger, 'python3', '-c', 'import trainguard_client; trainguard_client.RecoveryManager');
check(true, 'it prints the Python client, which Python imports');
