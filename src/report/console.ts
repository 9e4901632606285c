import { Chalk, type ChalkInstance } from 'chalk';
import type { Line, Tone } from './narrate.js';

const signs: Record<Exclude<Tone, 'detail'>, string> = {
  start: '▸',
  failure: '✖',
  rollback: '↺',
  wait: '…',
  done: '✔',
  note: '·',
  warning: '!',
};

/** Writes trainguard's own lines; the only place that knows colours. */
export interface Console {
  say(lines: readonly Line[]): void;
}

/**
 * @param write takes whole lines; must not throw
 * @param color NO_COLOR, `--no-color`, a non-TTY and `TERM=dumb` are the caller's to judge
 */
export function createConsole(write: (text: string) => void, color: boolean): Console {
  const chalk = new Chalk({ level: color ? 1 : 0 });
  return {
    say(lines) {
      for (const line of lines) write(`${render(chalk, line)}\n`);
    },
  };
}

function render(chalk: ChalkInstance, { tone, text }: Line): string {
  const indented = text.replaceAll('\n', '\n             ');
  if (tone === 'detail') return `             ${indented}`;
  const head = `${chalk.dim('trainguard')} ${signs[tone]}`;
  switch (tone) {
    case 'failure':
      return `${head} ${chalk.red(indented)}`;
    case 'warning':
      return `${head} ${chalk.yellow(indented)}`;
    case 'done':
      return `${head} ${chalk.green(indented)}`;
    case 'rollback':
      return `${head} ${chalk.cyan(indented)}`;
    case 'start':
    case 'wait':
    case 'note':
      return `${head} ${indented}`;
  }
}
