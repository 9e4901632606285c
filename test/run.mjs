// Runs every compiled test (Node 20's --test takes no globs). Arguments narrow: `node test/run.mjs policy e2e`.
import { execSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const only = process.argv.slice(2);
const tests = readdirSync(new URL('dist/test', root), { recursive: true })
  .filter((name) => name.endsWith('.test.js') && !name.startsWith('bench'))
  .filter((name) => only.length === 0 || only.some((part) => name.includes(part)))
  .map((name) => `dist/test/${name}`)
  .sort();
if (tests.length === 0) {
  console.error('no test matches; run `npm run build` first');
  process.exit(1);
}
// what bin/ starts is made of the modules, which may be newer
execSync('npm run --silent bundle', { cwd: root, stdio: 'inherit' });
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', ...tests], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);
