import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { longestMs } from './config/defaults.js';
import { parseDuration } from './util/duration.js';
import { exitStatus } from './util/result.js';

/**
 * Runs the command line by the whole tree of verbs.
 * @param argv as process.argv
 * @returns the exit status
 */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let status: number = exitStatus.done;
  const program = buildProgram((code) => {
    status = code;
  });
  try {
    await program.parseAsync(argv);
    return status;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has already said what is wrong; help and version are no errors
    return error.exitCode === 0 ? exitStatus.done : exitStatus.usage;
  }
}

/** Every verb with its flags. @param done is told the exit status of the one that ran */
export function buildProgram(done: (status: number) => void): Command {
  const program = new Command('trainguard')
    .description(
      'Puts a supervisor in front of `python train.py`, so that the training is there in the morning.',
    )
    .version('0.1.0', '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'trainguard: ')) });

  launching(
    verb(program, 'run', 'run a training command under supervision')
      .argument('[command...]', 'the training command, after --')
      .passThroughOptions()
      .option('--name <name>', "the run's name (the script's stem unless given)"),
  ).action(async (command: string[], options: import('./commands/run.js').RunOptions) => {
    const { run } = await import('./commands/run.js');
    done(await run(command, options));
  });

  launching(
    verb(program, 'resume', 'launch a run again as it was launched, from wherever this is called')
      .argument('[run]', 'the run (the one last at work unless given)')
      .addHelpText('after', '\nFlags override those that the run was launched with, from now on.'),
  ).action(async (name: string | undefined, options: import('./commands/resume-run.js').ResumeOptions) => {
    const { resumeRun } = await import('./commands/resume-run.js');
    done(await resumeRun(name, options));
  });

  verb(program, 'attach', "show a run's output as it comes; Ctrl-C leaves the run alone")
    .argument('[run]', 'the run (the one last at work unless given)')
    .addHelpText(
      'after',
      "\nA run without a supervisor is given one, in the background. Ends with the run's exit status.",
    )
    .action(async (name: string | undefined, options: import('./commands/attach.js').AttachOptions) => {
      const { attach } = await import('./commands/attach.js');
      done(await attach(name, options));
    });

  verb(program, 'status', 'say how runs are doing')
    .argument('[run]')
    .option('--exit-code', 'exit 3 if no run is active')
    .action(async (name: string | undefined, options: import('./commands/status.js').StatusOptions) => {
      const { status } = await import('./commands/status.js');
      done(await status(name, options));
    });

  verb(program, 'rollback', 'make the next attempt resume from a chosen checkpoint')
    .argument('[run]')
    .option('--to <checkpoint>', 'latest, previous, best, safe, step:N, or a name')
    .option('--undo [transaction]', 'take the last rollback back, or the one named')
    .addOption(repeatable('--checkpoint-dir <folder>', "a folder instead of a run's"))
    .option('--layout <layout>', 'how checkpoints are laid out')
    .option('--vault <folder>', 'where quarantined checkpoints go')
    .option('--stop', 'stop the run first if it is active')
    .option('--dry-run', 'say what would be moved, put back and rewritten, and do nothing')
    .action(async (name: string | undefined, options: import('./commands/rollback.js').RollbackOptions) => {
      const { rollback } = await import('./commands/rollback.js');
      done(await rollback(name, options));
    });

  checkpoints(program, done);

  verb(program, 'logs', "print a run's output")
    .argument('[run]')
    .option('-f, --follow', 'go on until the run ends')
    .option('--attempt <n>', 'which attempt (the newest unless given)', count)
    .action(async (name: string | undefined, options: import('./commands/logs.js').LogsOptions) => {
      const { logs } = await import('./commands/logs.js');
      done(await logs(name, options));
    });

  verb(program, 'stop', 'stop a run, letting it finish a save')
    .argument('[run]')
    .option('--after-checkpoint', 'once its next checkpoint is complete')
    .option('--dry-run', 'say what would be stopped')
    .action(async (name: string | undefined, options: import('./commands/stop.js').StopOptions) => {
      const { stop } = await import('./commands/stop.js');
      done(await stop(name, options));
    });

  verb(program, 'drill', 'prove, in a scratch folder, that a training resumes after a kill')
    .argument('[command...]', 'the training command, after --')
    .passThroughOptions()
    .addOption(repeatable('--checkpoint-dir <folder>', 'where the training saves (its own flag is replaced)'))
    .option('--layout <layout>', 'how checkpoints are laid out')
    .option('--resume-args <args>', "flags added when it is relaunched, e.g. '--resume {path}', or preset")
    .option('--timeout <duration>', 'how long each attempt may take (10m)', timeout)
    .addHelpText(
      'after',
      '\nTrains until a checkpoint is complete, kills, rolls back, relaunches. Exit 0 only if it then went on from the checkpoint.',
    )
    .action(async (command: string[], options: import('./commands/drill.js').DrillOptions) => {
      const { drill } = await import('./commands/drill.js');
      done(await drill(command, options));
    });

  planning(
    verb(program, 'init', 'print a systemd user unit that keeps a run going (--systemd)')
      .argument('[command...]', 'the training command, after --')
      .passThroughOptions()
      .option('--systemd', 'print the unit, and how to install it')
      .option('--run <run>', 'a run that was launched before, instead of a command')
      .option('--name <name>', "the run's name (the script's stem unless given)"),
  ).action(async (command: string[], options: import('./commands/init-systemd.js').InitOptions) => {
    const { init } = await import('./commands/init-systemd.js');
    done(await init(command, options));
  });

  return program;
}

/** `trainguard checkpoints …`: one verb each. */
function checkpoints(program: Command, done: (status: number) => void): void {
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

/** Flags of verbs that launch a training. */
const launching = (command: Command): Command =>
  planning(command)
    .option('--stdin', 'give the training this stdin instead of /dev/null')
    .option('--detach', 'supervise in the background, without this terminal')
    .option('--unless-done', 'do nothing if the run has completed or was given up (for units and cron)')
    .option('--dry-run', 'say what would be done, and do nothing')
    .addOption(new Option('--unless-ended').hideHelp())
    .addOption(new Option('--detached <limit>').hideHelp());

/** Flags that say what a run is. */
const planning = (command: Command): Command =>
  command
    .addOption(
      repeatable('--checkpoint-dir <folder>', 'where the training saves (found by itself where it can be)'),
    )
    .option(
      '--layout <layout>',
      'how checkpoints are laid out: auto, huggingface, accelerate, diffusers, lightning, deepspeed, megatron, dcp, orbax, composer, nanogpt, ultralytics, keras, flax, mmengine, generic',
    )
    .option(
      '--resume-args <args>',
      "flags added when there is a checkpoint, e.g. '--resume_from_checkpoint {path}', or preset: its framework's own",
    )
    .option('--max-retries <n>', 'failures in a row without getting further that are retried', count)
    .option('--backoff-initial <duration>', 'wait before the first retry', duration)
    .option('--backoff-max <duration>', 'longest wait before a retry', duration)
    .option('--heartbeat-timeout <duration>', 'silence after which the training counts as hanging', timeout)
    .option('--startup-timeout <duration>', 'the same, before the first progress', timeout)
    .option('--stop-grace <duration>', 'time to finish a save before the training is killed', duration)
    .option('--no-rollback', 'leave the checkpoint folder alone')
    .option('--vault <folder>', 'where quarantined checkpoints go')
    .option(
      '--allow-scratch',
      'train from the beginning though there was a good checkpoint, and none is left',
    );

function verb(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--json', 'JSON alone on stdout')
    .option('--config <file>', 'the configuration file (searched upwards unless given)')
    .option('--state-dir <folder>', 'where runs are kept (.trainguard)')
    .option('--quiet', "none of trainguard's own lines")
    .option('--no-color', 'no colours');
}

function repeatable(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, previous: string[] | undefined) => [
    ...(previous ?? []),
    value,
  ]);
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms > longestMs)
    throw new InvalidArgumentError('Use 500ms, 30s, 5m, 2h, or a number of seconds, up to 24 days.');
  return ms;
}

function timeout(text: string): number {
  const ms = duration(text);
  if (ms === 0) throw new InvalidArgumentError('Use a time longer than nothing.');
  return ms;
}

function count(text: string): number {
  const n = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(n))
    throw new InvalidArgumentError('Use a whole number, 0 or more.');
  return n;
}
