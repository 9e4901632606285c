// The table of frameworks: each trains for a few steps, its newest checkpoint is damaged, `trainguard rollback` goes back
// to a good one, and the framework itself resumes: from that one, and its next saves succeed.
// `npm run build && node test/frameworks/table.mjs [--markdown FILE] [part of a framework's name]`
// The frameworks are those of .ci/frameworks (TRAINGUARD_CI_VENV: their virtual environment). Exit 1 if a row is wrong.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { printTable, twoAtATime } from '../chaos/digits-round.mjs';
import { frameworks } from './frameworks.mjs';
import { page } from './page.mjs';
import { rowsOf } from './rounds.mjs';

const { values, positionals } = parseArgs({
  options: { markdown: { type: 'string' } },
  allowPositionals: true,
});
const chosen = frameworks.filter(({ name }) => positionals.every((part) => name.includes(part)));
if (chosen.length === 0) throw new Error(`no framework is called ${positionals.join(' ')}`);
const base = mkdtempSync(path.join(tmpdir(), 'trainguard-frameworks-'));
const results = new Map();
await twoAtATime(chosen, async (framework, index) => {
  const rows = await rowsOf(framework, path.join(base, String(index)));
  for (const { damage, why } of rows)
    if (why !== undefined) console.log(`${framework.name}, ${damage}: ${why}\n`);
  results.set(framework, rows);
});
const rows = chosen.flatMap((framework) => results.get(framework));
const wrong = rows.filter((row) => row.why !== undefined).length;
const head = ['framework', 'made by', 'layout', 'damage', 'target step', 'resumed step', 'next saves', 'ok'];
const table = [head, ...rows.map(cells)];
printTable(table);
console.log(
  `\nresumed step = target step, and the next saves succeed: ${rows.length - wrong} of ${rows.length} rows`,
);
if (values.markdown !== undefined && wrong === 0) writeFileSync(values.markdown, page(table));
if (wrong === 0) rmSync(base, { recursive: true });
else console.log(`the folders are kept in ${base}`);
process.exitCode = wrong === 0 ? 0 : 1;

function cells({ framework, madeBy, layout, damage, target, resumed, saved, why }) {
  const source = framework.documented ? `documented files, ${madeBy}` : madeBy;
  return [
    ...[framework.name, source ?? '', layout ?? '', damage, target],
    ...[resumed ?? '', saved?.join(', ') ?? '', why === undefined ? 'yes' : 'NO'],
  ];
}
