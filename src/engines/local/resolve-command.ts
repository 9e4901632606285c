import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { errorCode, errorText } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';

/**
 * Finds the file that a command names, as execvp would: with a slash in it relative to `cwd`, else along the PATH of
 * the worker's environment.
 * @returns its path; or a Problem: exit 127 and code ENOENT (not found), exit 126 and code EACCES (found, but it
 * cannot be run)
 */
export function resolveCommand(
  argv0: string,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Result<string> {
  const inFolder = problemOfFolder(cwd);
  if (inFolder) return inFolder;
  if (argv0.includes('/')) {
    const file = path.resolve(cwd, argv0);
    const why = whyNotRunnable(file);
    return why === undefined ? ok(file) : refuse(argv0, why);
  }
  // without PATH the shell has its own, which is not ours to guess
  if (env['PATH'] === undefined) return ok(argv0);
  let denied: string | undefined;
  for (const dir of argv0 === '' ? [] : env['PATH'].split(':')) {
    const file = path.resolve(cwd, dir, argv0); // an empty entry is the working directory
    const why = whyNotRunnable(file);
    if (why === undefined) return ok(file);
    if (why !== 'ENOENT') denied ??= file;
  }
  return denied === undefined ? refuse(argv0, 'ENOENT') : refuse(denied, 'EACCES');
}

function problemOfFolder(cwd: string): ReturnType<typeof fail> | undefined {
  try {
    if (statSync(cwd).isDirectory()) return undefined;
    return fail(
      `the working directory ${cwd} is a file; start from a folder`,
      exitStatus.cannotRun,
      'ENOTDIR',
    );
  } catch (error) {
    const text = `the working directory ${cwd} cannot be entered (${errorText(error)})`;
    return fail(text, exitStatus.cannotRun, errorCode(error) ?? 'ENOENT');
  }
}

function whyNotRunnable(file: string): string | undefined {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isDirectory() ? 'EISDIR' : undefined;
  } catch (error) {
    const code = errorCode(error);
    return code === 'ENOTDIR' || code === undefined ? 'ENOENT' : code;
  }
}

function refuse(command: string, why: string): ReturnType<typeof fail> {
  if (why === 'ENOENT') {
    const hint = command.includes('/')
      ? 'check the path'
      : 'it is not in PATH; give its path, or activate its environment';
    return fail(`command not found: ${command} (${hint})`, exitStatus.notFound, 'ENOENT');
  }
  if (why === 'EISDIR')
    return fail(`${command} is a folder, not a program; name a file in it`, exitStatus.cannotRun, 'EACCES');
  const hint = command.endsWith('.py') ? `chmod +x it, or run python ${command}` : `chmod +x ${command}`;
  return fail(`${command} cannot be executed: permission denied (${hint})`, exitStatus.cannotRun, 'EACCES');
}
