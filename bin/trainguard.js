#!/usr/bin/env node
process.on('SIGUSR1', () => {
  if (globalThis.trainguardPreempted) globalThis.trainguardPreempted();
  else globalThis.trainguardEarlyUsr1 = true;
});
// Losing the output (a reader that has seen enough, a terminal that is gone, a full disk) ends nothing.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
const { main } = await import('../dist/bin/cli.js');
process.exitCode = await main(process.argv);
