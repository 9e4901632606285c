import path from 'node:path';

/** Where an attempt keeps what (DESIGN section 8). */
export interface AttemptFiles {
  readonly out: string;
  readonly err: string;
  readonly shimErr: string;
  readonly go: string;
  readonly pid: string;
  readonly exit: string;
  readonly launch: string;
  readonly stacks: string;
}

/** The files of an attempt's folder, with one worker. */
export function attemptFiles(dir: string): AttemptFiles {
  const at = (name: string): string => path.join(dir, name);
  return {
    out: at('worker-0.out.log'),
    err: at('worker-0.err.log'),
    shimErr: at('shim.err'),
    go: at('go'),
    pid: at('pid'),
    exit: at('exit'),
    launch: at('launch.json'),
    stacks: at('stacks.txt'),
  };
}
