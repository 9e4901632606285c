// Drills every script of fixtures/drill: five that resume, five that do not in five different ways, and some more. Each
// must be told apart with the right cause and advice, and leave no trace. Prints a table, exits 1 on a difference.
// `npm run build && node test/chaos/drills.mjs`
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { drillCases, drillWords, moreDrillCases } = await import(
  new URL('../../dist/test/support/drills.js', import.meta.url)
);
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(TRAINGUARD|SLURM|KUBERNETES)_/.test(name)),
);

function drill(one, cwd) {
  return new Promise((resolve, reject) => {
    const argv = [path.join(root, 'bin', 'trainguard.js'), ...drillWords(one)];
    const child = spawn(process.execPath, argv, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const printed = { out: '', err: '' };
    child.stdout.on('data', (chunk) => (printed.out += chunk));
    child.stderr.on('data', (chunk) => (printed.err += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...printed }));
  });
}

let wrong = 0;
console.log('script              verdict     cause                seconds  right');
for (const one of [...drillCases, ...moreDrillCases]) {
  const cwd = mkdtempSync(path.join(tmpdir(), 'drills-'));
  const begun = performance.now();
  const { code, out, err } = await drill(one, cwd);
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  const left = readdirSync(cwd);
  rmSync(cwd, { recursive: true, force: true });
  const answer = out === '' ? { cause: 'no answer', advice: [] } : JSON.parse(out);
  const right =
    answer.cause === one.cause &&
    code === (one.proven ? 0 : 1) &&
    one.advice.test(answer.advice.join('\n')) &&
    left.length === 0;
  if (!right) wrong++;
  const verdict = answer.proven ? 'proven' : 'not proven';
  console.log(
    `${one.script.padEnd(20)}${verdict.padEnd(12)}${String(answer.cause).padEnd(21)}${seconds.padStart(7)}  ${right ? 'yes' : 'NO'}`,
  );
  if (!right)
    console.log(
      `  expected ${one.cause}, exit ${one.proven ? 0 : 1}; left: ${left.join(', ') || 'nothing'}\n${out}${err}`,
    );
}
console.log(wrong === 0 ? 'all right' : `${wrong} wrong`);
process.exit(wrong === 0 ? 0 : 1);
