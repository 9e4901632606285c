// docs/frameworks.md, from the table.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { venv } from './rounds.mjs';

/** @param table rows of cells, the head first */
export function page(table) {
  const python = spawnSync(path.join(venv, 'bin/python'), ['-V'], { encoding: 'utf8' }).stdout.trim();
  return `# Going back, with the frameworks themselves

\`.ci/frameworks --markdown docs/frameworks.md\` writes this page. Each framework trains a small model on CPU under
\`trainguard run\` (\`fixtures/frameworks\`, and \`digits_torch.py\`), saving every 2 steps. Then its checkpoints are damaged,
\`trainguard rollback\` goes back, and the framework resumes by its own means: it must resume at the step gone back to, and
its next saves must succeed. Each round goes on in the folder that the one before it left.

${markdown(table)}

- _a newer save cut off_: the files that a killed save leaves, the largest cut at 60 %; \`rollback --to latest\`.
- _past two good ones_: \`rollback --to NAME\`, two checkpoints back, neither of the newer ones damaged.
- _a byte flipped_: in the middle of the largest file of the newest checkpoint, size and mtime as they were, as a failing
  disk does it. \`checkpoints verify\` must say which one is damaged; then \`rollback --to NAME\`, the one before it. Most
  formats have no checksum: it is found by the digest that trainguard took when the checkpoint was whole. Where saves are
  written in place, \`rollback --to latest\` brings the same bytes back from trainguard's own copy.
- _documented files_: the framework is not installed here (it does not run with this torch, needs a GPU, or is no
  package). Names, the order of writing and the choice at resuming are its documented ones, the bytes are \`torch.save\`'s.

${python}, node ${process.version.slice(1)}; the packages are those of \`fixtures/frameworks/requirements.txt\`.
`;
}

/** A table as Prettier has it. */
function markdown(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  const line = (row) => `| ${row.map((cell, column) => String(cell).padEnd(widths[column])).join(' | ')} |`;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}
