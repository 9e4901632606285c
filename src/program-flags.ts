import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { longestMs } from './config/defaults.js';
import { parseSize } from './config/size.js';
import { parseDuration } from './util/duration.js';

// The only place that knows the library of the command line; its tree of verbs is in program.ts.
export { Command, CommanderError };

/** Flags of verbs that launch a training. */
export const launching = (command: Command): Command =>
  planning(command)
    .option('--stdin', 'give the training this stdin instead of /dev/null')
    .option('--detach', 'supervise in the background, without this terminal')
    .option('--unless-done', 'do nothing if the run has completed or was given up (for units and cron)')
    .option('--dry-run', 'say what would be done, and do nothing')
    .addOption(new Option('--unless-ended').hideHelp())
    .addOption(new Option('--detached <limit>').hideHelp());

/** Flags that say what a run is. */
export const planning = (command: Command): Command =>
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
    .option('--serve [port]', 'take heartbeats by HTTP too, for workers on other machines', port)
    .option('--no-rollback', 'leave the checkpoint folder alone')
    .option('--vault <folder>', 'where quarantined checkpoints go')
    .addOption(
      repeatable(
        '--notify <url or command>',
        'whom to tell of the first failure, silence, giving up and the end (a webhook, or a command that reads JSON)',
      ),
    )
    .option(
      '--allow-scratch',
      'train from the beginning though there was a good checkpoint, and none is left',
    );

export function verb(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--json', 'JSON alone on stdout')
    .option('--config <file>', 'the configuration file (searched upwards unless given)')
    .option('--state-dir <folder>', 'where runs are kept (.trainguard)')
    .option('--quiet', "none of trainguard's own lines")
    .option('--no-color', 'no colours');
}

export function repeatable(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, previous: string[] | undefined) => [
    ...(previous ?? []),
    value,
  ]);
}

export function port(text: string): number {
  const n = count(text);
  if (n > 65_535) throw new InvalidArgumentError('Use a port from 0 (one that is free) to 65535.');
  return n;
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms > longestMs)
    throw new InvalidArgumentError('Use 500ms, 30s, 5m, 2h, or a number of seconds, up to 24 days.');
  return ms;
}

export function timeout(text: string): number {
  const ms = duration(text);
  if (ms === 0) throw new InvalidArgumentError('Use a time longer than nothing.');
  return ms;
}

export function count(text: string): number {
  const n = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(n))
    throw new InvalidArgumentError('Use a whole number, 0 or more.');
  return n;
}

/** One at least. */
export function someOf(text: string): number {
  const n = count(text);
  if (n === 0) throw new InvalidArgumentError('Use a whole number, 1 or more.');
  return n;
}

export function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes === 0)
    throw new InvalidArgumentError('Use 512KiB, 16MiB, 1GB, or a number of bytes.');
  return bytes;
}
