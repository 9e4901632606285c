#!/usr/bin/env node
process.on('SIGUSR1', () => globalThis.trainguardPreempted?.() ?? (globalThis.trainguardEarlyUsr1 = true));
// A reader that has seen enough (`| head -1`), or a terminal that is gone, is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  });
}
const { main } = await import('../dist/src/cli.js');
process.exitCode = await main(process.argv);
