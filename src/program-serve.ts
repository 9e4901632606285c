import { type Command, count, port, repeatable, size, someOf, timeout, verb } from './program-flags.js';

/** `trainguard serve`. */
export function serve(program: Command, done: (status: number) => void): void {
  verb(program, 'serve', 'let workers anywhere register, beat and keep checkpoints over HTTP')
    .option('--port <n>', 'where it listens (8471; 0: any that is free)', port)
    .option('--host <address>', 'the address it listens on (127.0.0.1: this machine alone; 0.0.0.0: all)')
    .addOption(repeatable('--allow-host <name>', 'another name under which workers reach it, e.g. a proxy’s'))
    .option('--tls-cert <file>', 'certificate for HTTPS, PEM; needed for other machines')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--insecure', 'let other machines in without TLS')
    .option('--token-file <file>', 'the token that workers show (made at the first start)')
    .option('--checkpoint-dir <folder>', 'where the workers’ checkpoints go')
    .option('--heartbeat-interval <duration>', 'how often a worker beats (5s)', timeout)
    .option('--heartbeat-timeout <duration>', 'silence after which it failed (three intervals)', timeout)
    .option('--max-failures <n>', 'failures after which a worker may still go on (3)', count)
    .option('--keep-checkpoints <n>', 'kept of each worker (3)', someOf)
    .option('--max-checkpoint-size <size>', 'the largest that is taken (16MiB)', size)
    .option('--max-connections <n>', 'of workers at the same time (10000)', someOf)
    .addHelpText(
      'after',
      '\nWorkers find it by TRAINGUARD_URL and TRAINGUARD_TOKEN_FILE (or TRAINGUARD_TOKEN). What it knows survives its end,\nhowever it ends; Ctrl-C or SIGTERM stops it.',
    )
    .action(async (options: import('./commands/serve.js').ServeOptions) => {
      const { serve } = await import('./commands/serve.js');
      done(await serve(options));
    });
}
