import { readFileSync } from 'node:fs';

/** A process's limit of open files. */
export interface OpenFiles {
  readonly soft: number;
  readonly hard: number;
}

/**
 * The soft limit of open files that we were started with; undefined where it is as it was, or cannot be known. Node
 * raises its own to the hard one as it starts, and what it starts would inherit that; the process that started us still
 * has the original one. Read at once, since it may be gone later.
 */
export let openFilesBefore: number | undefined = beforeNode(limitOf('self'), limitOf(process.ppid));

/** What it is to have been: that of a launch that is repeated, or of whoever started us through another Node. */
export function setOpenFiles(soft: number): void {
  openFilesBefore = soft;
}

/**
 * What the soft limit was before Node raised it, judged by the parent's; undefined unless all speaks for it. A limit
 * that was changed between the parent's fork and our start (`ulimit -n 777; exec node …`) cannot be seen.
 */
export function beforeNode(own: OpenFiles | undefined, parent: OpenFiles | undefined): number | undefined {
  if (!own || !parent || own.soft !== own.hard || parent.hard !== own.hard) return undefined;
  return parent.soft < own.soft ? parent.soft : undefined;
}

function limitOf(pid: number | 'self'): OpenFiles | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/limits`, 'utf8');
  } catch {
    // no /proc here (macOS), or the parent is another user's, outside our pid namespace, or gone
    return undefined;
  }
  const match = /^Max open files +(\d+) +(\d+) /m.exec(text);
  return match ? { soft: Number(match[1]), hard: Number(match[2]) } : undefined;
}
