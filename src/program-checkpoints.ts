import { type Command, repeatable, verb } from './program-flags.js';

/** `trainguard checkpoints …`: one verb each. */
export function checkpoints(program: Command, done: (status: number) => void): void {
  const group = program.command('checkpoints').description('list, verify, pin, unpin or prune checkpoints');
  const sub = (name: string, description: string): Command =>
    verb(group, name, description)
      .addOption(repeatable('--checkpoint-dir <folder>', "a folder instead of a run's"))
      .option('--layout <layout>', 'how checkpoints are laid out')
      .option('--vault <folder>', 'where spares and quarantined checkpoints are');

  sub('list', 'say what each checkpoint is worth, and why')
    .argument('[run or folder]', 'the run last at work unless given')
    .option('--metric <name>', 'the metric that is shown, as the training names it', 'loss')
    .action(
      async (target: string | undefined, options: import('./commands/checkpoints-list.js').ListOptions) => {
        const { listCheckpoints } = await import('./commands/checkpoints-list.js');
        done(await listCheckpoints(target, options));
      },
    );

  sub('verify', 'read every byte, and compare it with what was recorded')
    .argument('[run or folder]', 'the run last at work unless given')
    .argument('[checkpoints...]', 'these only')
    .option('--shallow', 'look at the structure only, which takes no time')
    .addHelpText('after', '\nExit 0 if all are good, 1 if one is damaged.')
    .action(
      async (
        target: string | undefined,
        ids: string[],
        options: import('./commands/checkpoints-verify.js').VerifyOptions,
      ) => {
        const { verifyCheckpoints } = await import('./commands/checkpoints-verify.js');
        done(await verifyCheckpoints(target, ids, options));
      },
    );

  for (const [name, on, description] of [
    ['pin', true, 'keep checkpoints whatever retention says'],
    ['unpin', false, 'leave checkpoints to retention again'],
  ] as const) {
    sub(name, description)
      .argument('<checkpoints...>')
      .option('--run <run>', 'the run, or the folder, that they are of (the run last at work unless given)')
      .option('--dry-run', `say what would be ${name}ned`)
      .action(async (ids: string[], options: import('./commands/checkpoints-pin.js').PinOptions) => {
        const { pinCheckpoints } = await import('./commands/checkpoints-pin.js');
        done(await pinCheckpoints(ids, on, options));
      });
  }

  sub('prune', 'remove from the vault what no rule keeps')
    .argument('[run or folder]', 'the run last at work unless given')
    .option('--folder', 'from the checkpoint folder too')
    .option('--dry-run', 'say what would go, and remove nothing')
    .action(
      async (target: string | undefined, options: import('./commands/checkpoints-prune.js').PruneOptions) => {
        const { pruneCheckpoints } = await import('./commands/checkpoints-prune.js');
        done(await pruneCheckpoints(target, options));
      },
    );
}
