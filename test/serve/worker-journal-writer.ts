import { writeSync } from 'node:fs';
import { openWorkerJournal } from '../../src/serve/worker-journal.js';
import { beating } from './worker-journal-support.js';

// Appends to the journal in argv[2] until it is killed, from number argv[3] on, eight at a time, and says each number
// when it is acknowledged.

const opened = await openWorkerJournal(process.argv[2] ?? '', { compactAt: 10_000 });
if (!opened.ok) throw new Error(opened.error.message);
const journal = opened.value;
let next = Number(process.argv[3]);

async function act(n: number): Promise<string> {
  if (n % 5 > 0) {
    await journal.append([beating(`w${n % 20}`, n)], n % 5 === 1);
    return `${n}`;
  }
  const request = { key: `${n}`, method: 'PUT', path: '/v1/workers/x' };
  await journal.once(
    request,
    () => `digest ${n}`,
    async () => {
      await journal.append([beating(`once-${n}`, n)], true);
      return { status: 201, body: `{"n":${n}}` };
    },
  );
  return `once ${n}`;
}

async function forever(): Promise<never> {
  for (;;) {
    const said = await act(next++);
    writeSync(1, `${said}\n`);
  }
}
await Promise.all(Array.from({ length: 8 }, forever));
