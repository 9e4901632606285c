/** The shell that runs the shim: POSIX says it is there. */
export const shimShell = '/bin/sh';

/**
 * The outer shell: leads the session and the group, and outlives the command to leave its exit status.
 * $0 the shell, $1 the attempt's folder, $2 the stop signal without SIG, $3 the soft limit of open files or nothing, $4
 * the inner shell's text, then the command.
 *
 * - `exec 3>&2 2>>shim.err`: what a shell says for itself ("Killed") is not the worker's; its stderr waits in 3.
 * - `trap :` and not `trap ''`: a signal that is caught is the default again in the command, one that is ignored
 *   would stay ignored there.
 * - `rmdir go`: one of two can remove a folder, so of two shims, or a shim and a supervisor that gives the launch
 *   up, one wins. `command -p`, since the worker's PATH may hold anything.
 * - `1<>` overwrites in place: nothing is allocated, so it works on a full disk. Its own exit status is the same, for
 *   a supervisor whose folder was deleted.
 * - `ulimit`: here and not in the inner shell, so that a trainguard that is the command finds it in its parent. A limit
 *   that cannot be set is said in shim.err, and no reason not to train.
 * - No variable is set: one of the same name that the worker's environment exports would be changed with it.
 */
const outer = [
  'exec 3>&2 2>>"$1/shim.err"',
  'trap : HUP INT QUIT TERM USR1 USR2 "$2"',
  'command -p rmdir "$1/go" || exit 125',
  'case $3 in ?*) command ulimit -S -n "$3" ;; esac',
  '"$0" -c "$4" "$@"',
  'set -- "$?" "$1/exit"',
  'echo "$1" 1<>"$2"',
  'exit "$1"',
].join('\n');

/**
 * The inner shell: names itself in `pid` by its line of /proc/PID/stat (pid, session and start time stay the same
 * through exec; without /proc, by `ps`), then becomes the command. $0 the attempt's folder, $1 the stop signal, $2
 * the limit, $3 this text, then the command.
 */
const inner = [
  'if read -r TRAINGUARD_SHIM </proc/$$/stat; then :',
  'else TRAINGUARD_SHIM="$$ ps $(command -p ps -o lstart= -p $$)"; fi',
  'echo "$TRAINGUARD_SHIM" 1<>"$0/pid" || exit 125',
  'unset TRAINGUARD_SHIM',
  'shift 3',
  'exec 2>&3 3>&-',
  'exec "$@"',
].join('\n');

/**
 * The arguments of the shell that runs `argv` as the attempt in `dir`. The environment goes through a shell, and
 * dash drops variables whose names it could not have itself (`BASH_FUNC_module%%`, `my.setting`), so `carried`
 * (those of them that there are) is handed on by env(1).
 * @param openFiles the soft limit of open files that the command gets; ours unless given
 */
export function shimArguments(
  shell: string,
  dir: string,
  stopSignal: string,
  argv: readonly string[],
  carried: readonly (readonly [string, string])[] = [],
  openFiles?: number,
): readonly string[] {
  const env = carried.length === 0 ? [] : ['env', ...carried.map(([name, value]) => `${name}=${value}`)];
  const signal = stopSignal.replace(/^SIG/, '');
  return ['-c', outer, shell, dir, signal, openFiles?.toString() ?? '', inner, ...env, ...argv];
}

/** The variables that a shell would not hand on. */
export const carriedPastShell = (
  env: Readonly<Record<string, string>>,
): readonly (readonly [string, string])[] =>
  Object.entries(env).filter(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));

/** What the shim ends with when another had the launch already. */
export const shimLost = 125;
