// `vault-child.js DIR [VAULT]`: opens the checkpoint folder, rolls its newest checkpoint away, and tells what it found.
import { readdirSync } from 'node:fs';
import { openCheckpointStore } from '../../src/checkpoints/open.js';
import { defaults, HandClock } from './samples.js';

const [dir = '', vault] = process.argv.slice(2);
const notices: string[] = [];
const opened = await openCheckpointStore({
  ...defaults(dir, new HandClock(), notices),
  ...(vault !== undefined && { vault }),
});
if (opened.ok) {
  const store = opened.value;
  const seen = await store.inspect({ live: false, budgetMs: 0 });
  const last = seen.ok ? seen.value.checkpoints.at(-1) : undefined;
  const done = await store.rollback({ moves: last ? [last.id] : [], reason: 'test' });
  await store.close();
  const told = done.ok ? { moved: done.value.moved.map(({ to }) => to) } : { failed: done.error.message };
  say({ vault: store.vault, left: readdirSync(dir).sort(), notices, ...told });
} else say({ refused: opened.error.message, exit: opened.error.exit, left: readdirSync(dir).sort() });

function say(what: unknown): void {
  process.stdout.write(JSON.stringify(what));
}
