import { RotatingFile } from './rotating-file.js';
import { maskText } from '../util/mask.js';

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** trainguard's own log. Secrets are masked; nothing here ever throws or waits. */
export interface SupervisorLog {
  debug(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  error(text: string, fields?: LogFields): void;
  close(): void;
}

/**
 * Opens supervisor.log: a JSON line an entry, on the disk's side of the kernel before the call returns, so that a
 * killed supervisor's last words are there. When it is full it becomes supervisor.log.1, and the one before goes.
 * @param maxBytes 8 MiB, twice that with the older one
 */
export async function openSupervisorLog(file: string, maxBytes = 8 * 1024 * 1024): Promise<SupervisorLog> {
  // loaded only here: status and its kin never write this log
  const { default: pino } = await import('pino');
  const out = new RotatingFile(file, maxBytes);
  const log = pino(
    {
      level: 'debug',
      base: { schemaVersion: 1, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    { write: (line: string) => out.write(line) },
  );
  return {
    debug: (text, fields) => log.debug(masked(fields), maskText(text)),
    info: (text, fields) => log.info(masked(fields), maskText(text)),
    warn: (text, fields) => log.warn(masked(fields), maskText(text)),
    error: (text, fields) => log.error(masked(fields), maskText(text)),
    close: () => out.close(),
  };
}

const masked = (fields: LogFields = {}): LogFields =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? maskText(value) : value,
    ]),
  );
