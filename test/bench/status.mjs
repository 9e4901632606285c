// How long `trainguard status` takes against a bare `node -e 0`, with one run under way and one that ended, and what it
// loads for that.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { check, median, ms, option, printMachine, printTable, quantile, supervised } from './lib.mjs';
import { temporaryDir, timed, times, trainguard } from './lib.mjs';

const rounds = option('rounds', 40);
const bound = 1.5;
/** Each costs more than all that `status` may take. */
const heavy = ['zod', 'execa', 'cosmiconfig', 'chokidar', 'pino'];

const dir = temporaryDir('status');
printMachine();
await supervised(['--name', 'ended'], ['true'], { cwd: dir });
const live = await startLiveRun();

const sides = {
  'node -e 0': ['-e', '0'],
  'trainguard status': [trainguard, 'status'],
  'status --json': [trainguard, 'status', '--json'],
};
const seen = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
for (let round = -2; round < rounds; round++) {
  for (const [name, args] of Object.entries(sides)) {
    const { status, wallMs, stderr } = await timed(process.execPath, args, { cwd: dir });
    if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`);
    if (round >= 0) seen[name].push(wallMs); // the first two warm the page cache
  }
}

const ratioOf = (name) => median(seen[name]) / median(seen['node -e 0']);
printTable([
  ['command', 'median', '90 %', 'ratio'],
  ...Object.entries(seen).map(([name, walls]) => [
    name,
    ms(median(walls)),
    ms(quantile(walls, 0.9)),
    times(ratioOf(name)),
  ]),
]);
const { packages, own } = await loadedBy('status');
await live.stop();
console.log(`it loads ${own} files of its own and, of others: ${packages.join(', ') || 'nothing'}`);
check('status to node -e 0', ratioOf('trainguard status'), bound, ' ×');
const wrong = heavy.filter((name) => packages.includes(name));
check(`packages it must not load${wrong.length > 0 ? ` (${wrong.join(', ')})` : ''}`, wrong.length, 0);

/** A run that is under way: what `status` is asked about most, and what it must ask a lock about. */
async function startLiveRun() {
  let pid;
  const args = [trainguard, 'run', '--name', 'live', '--', 'sleep', '600'];
  const ended = timed(process.execPath, args, { cwd: dir, onStart: (started) => (pid = started) });
  const kill = () => process.kill(pid, 'SIGTERM');
  process.once('exit', kill);
  for (let looks = 0; looks < 600; looks++) {
    const { stdout } = spawnSync(process.execPath, [trainguard, 'status'], { cwd: dir, encoding: 'utf8' });
    if (!/^live +running/m.test(stdout)) continue;
    return {
      async stop() {
        process.off('exit', kill);
        kill();
        await ended;
      },
    };
  }
  throw new Error('the live run did not begin');
}

/** Which packages a verb loads: V8's coverage names every script that was run, however it was loaded. */
async function loadedBy(verb) {
  const coverage = path.join(dir, 'coverage');
  await timed(process.execPath, [trainguard, verb], {
    cwd: dir,
    env: { ...process.env, NODE_V8_COVERAGE: coverage },
  });
  const urls = readdirSync(coverage).flatMap((name) =>
    JSON.parse(readFileSync(path.join(coverage, name), 'utf8')).result.map(({ url }) => url),
  );
  const files = urls.filter((url) => url.startsWith('file:'));
  if (files.length === 0) throw new Error('the coverage names no script');
  const inPackage = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//;
  const packages = [...new Set(files.flatMap((url) => inPackage.exec(url)?.[1] ?? []))].sort();
  return { packages, own: files.filter((url) => !inPackage.test(url)).length };
}
