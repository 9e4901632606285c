// Runs the compiled tests (Node 20's --test takes no globs). Arguments narrow: `node test/run.mjs policy e2e`. Without any
// the slow ones are left out, and that is said; `--slow` runs those, `--all` everything.
import { execSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

/** What takes longer than all the rest together: real trainings through many lives, every fault at every operation. */
const slow = [
  'checkpoints/faults', 'checkpoints/include', 'checkpoints/many', 'checkpoints/retention', 'checkpoints/rollback',
  'checkpoints/rollback-faults', 'checkpoints/spares', 'checkpoints/vault', 'client/edges', 'client/line',
  'client/outage', 'client/recursive', 'client/recursive-back', 'client/recursive-between', 'client/refused',
  'client/strangers', 'client/worker', 'e2e/adoption', 'e2e/bad-input', 'e2e/causes', 'e2e/checkpoints', 'e2e/clock',
  'e2e/commands', 'e2e/continuing', 'e2e/doctor', 'e2e/drill', 'e2e/explain', 'e2e/folders', 'e2e/incidents',
  'e2e/locks', 'e2e/not-resumed', 'e2e/notify', 'e2e/preflight', 'e2e/scratch-server', 'e2e/serve', 'e2e/serve-kills',
  'e2e/serve-run-attempts', 'e2e/serve-run-names', 'e2e/serve-takeover', 'e2e/serve-too-often', 'e2e/spares',
  'e2e/state', 'e2e/stop', 'e2e/under-fire', 'fixtures/digits', 'fixtures/digits-faults', 'policy/replay',
  'runs/journal', 'runs/lock',
]; // prettier-ignore

const root = new URL('../', import.meta.url);
const asked = process.argv.slice(2);
const only = asked.filter((name) => !name.startsWith('--'));
const isSlow = (name) => slow.some((one) => name === `${one}.test.js`);
const all = readdirSync(new URL('dist/test', root), { recursive: true })
  .filter((name) => name.endsWith('.test.js') && !name.startsWith('bench'))
  .sort();
const gone = slow.filter((one) => !all.includes(`${one}.test.js`));
if (gone.length > 0) {
  console.error(
    `test/run.mjs names what is not there: ${gone.join(', ')}; run \`npm run build\`, or mend its list`,
  );
  process.exit(1);
}
const chosen = all.filter((name) => {
  if (only.length > 0) return only.some((part) => name.includes(part));
  return asked.includes('--all') || isSlow(name) === asked.includes('--slow');
});
if (chosen.length === 0) {
  console.error('no test matches');
  process.exit(1);
}
// what bin/ starts is made of the modules, which may be newer
execSync('npm run --silent bundle', { cwd: root, stdio: 'inherit' });
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-concurrency=2', ...chosen.map((name) => `dist/test/${name}`)],
  { cwd: root, stdio: 'inherit' },
);
if (asked.length === 0) {
  console.log(`${slow.length} slow files were left out; \`npm run test:slow\` runs them, as CI does`);
}
process.exit(status ?? 1);
