import { checkpoints } from './program-checkpoints.js';
import {
  Command,
  CommanderError,
  count,
  launching,
  planning,
  repeatable,
  timeout,
  verb,
} from './program-flags.js';
import { serve } from './program-serve.js';
import { exitStatus } from './util/result.js';
import { version } from './util/version.js';

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
    .version(version, '-V, --version')
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
    verb(program, 'doctor', 'say what would fail before it does: the machine, the folders, the command')
      .argument('[command...]', 'the training command, after -- (the configuration’s unless given)')
      .passThroughOptions()
      .option('--name <name>', "the run's name (the script's stem unless given)")
      .option('--try [duration]', 'also run the command for a short time (60s) and look at what it prints', timeout), // prettier-ignore
  )
    .addHelpText(
      'after',
      '\nNothing is changed but for probes, which are removed. --try trains for real, into a scratch checkpoint folder\nwhere that is known, and stops as a run would. Exit 1 if something would fail; warnings fail nothing.',
    )
    .action(async (command: string[], options: import('./commands/doctor.js').DoctorOptions) => {
      const { doctor } = await import('./commands/doctor.js');
      done(await doctor(command, options));
    });

  verb(
    program,
    'report',
    'tell all of a run in Markdown: how it went, every failure, what was done, what is where',
  )
    .argument('[run]', 'the run (the one last at work unless given)')
    .action(async (name: string | undefined, options: import('./commands/report.js').ReportOptions) => {
      const { report } = await import('./commands/report.js');
      done(await report(name, options));
    });

  verb(
    program,
    'explain',
    'say why a program failed, by its logs; also of programs that trainguard did not run',
  )
    .argument('<log...>', "its logs, e.g. stdout's and stderr's; - for stdin")
    .option('--exit-code <n>', 'how it ended, where that is known', count)
    .option('--signal <name>', 'the same: SIGKILL, or 9')
    .addHelpText('after', '\nExit 0 whenever it could answer, also if it found no failure (--json: found).')
    .action(async (logs: string[], options: import('./commands/explain.js').ExplainOptions) => {
      const { explain } = await import('./commands/explain.js');
      done(await explain(logs, options));
    });

  verb(program, 'client', 'print the file by which workers talk to "trainguard serve"')
    .argument('<language>', 'python (3.8 or newer; it needs no package)')
    .addHelpText('after', '\nE.g. trainguard client python > trainguard_client.py')
    .action(async (language: string, options: import('./commands/client.js').ClientOptions) => {
      const { client } = await import('./commands/client.js');
      done(client(language, options));
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

  serve(program, done);

  return program;
}
