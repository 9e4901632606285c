#!/usr/bin/env node
process.on('SIGUSR1', () => globalThis.trainguardPreempted?.() ?? (globalThis.trainguardEarlyUsr1 = true));
const { main } = await import('../dist/src/cli.js');
process.exitCode = await main(process.argv);
