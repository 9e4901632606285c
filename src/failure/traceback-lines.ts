export interface ErrorLine {
  readonly type: string;
  readonly message: string;
}

/** What begins a traceback. */
export const header = 'Traceback (most recent call last):';
/** `[rank1]: ` of torch, `[default1]:` of torchrun. */
const rankPrefix = /^\[(?:rank|default)\d{1,6}\]: ?/;
const rankBeforeHeader = /\[(?:rank|default)\d{1,6}\]: ?$/;
/** `1: ` of `srun --label`, as wide as the largest task's; `node7: ` of pdsh; `(RayTrainWorker pid=1, ip=10.0.0.3) ` of Ray. */
const taskLabel = /^(?: {0,5}\d{1,6}: |[\w.-]{1,63}: |\([\w.:-]{1,80} pid=\d{1,10}(?:, ip=[\w.:]{1,45})?\) )/;
/** A line of a traceback that names a place. */
export const frame = /^\s+File "([^"]{1,1000})", line (\d{1,9})(?:, in (.{1,200}))?/;
/** How a data-loader process's traceback is quoted, and a rank's of a distributed checkpoint. */
const originally = 'Original ';
const rankBehindHeader = /: \(RANK \d{1,6}\)$/;
/** The bars that Python draws around the members of an exception group. */
const groupBar = /^ {2,40}[|+] /;

/** Exceptions of Python itself and of the main script carry no module, all others do. */
const builtIn =
  /^(?:[A-Z][A-Za-z]{0,60}(?:Error|Exception|Warning|Group)|KeyboardInterrupt|SystemExit|StopIteration|StopAsyncIteration|GeneratorExit)$/;
const ofScript = /^(?!(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)$)[A-Z]\w{0,100}$/;
const qualified = /^[A-Za-z_]\w{0,100}(?:\.[A-Za-z_<][\w<>]{0,100}){1,12}$/;

/** `quoted`: of another process, inside the message of an exception. */
export type Header = 'own' | 'quoted';

interface SplitLine {
  readonly prefix: string;
  readonly text: string;
  readonly header: Header | undefined;
}

/**
 * Takes a task's label, a rank's prefix and a group's bar off a line. Ordinary text too may begin with a word and a
 * colon, so a label counts only on a line that opens a traceback, and on those that follow it.
 * @param follows whether something with this prefix was opened before
 */
export function splitPrefix(line: string, follows: (prefix: string) => boolean): SplitLine {
  const label = taskLabel.exec(line)?.[0];
  if (label !== undefined) {
    const rest = splitRank(line.slice(label.length));
    const prefix = `${label.trim()}${rest.prefix}`;
    if (rest.header || frame.test(rest.text) || follows(prefix)) return { ...rest, prefix };
  }
  return splitRank(line);
}

/** A header may stand right behind a progress bar. */
function splitRank(line: string): SplitLine {
  const plain = rankBehindHeader.test(line.slice(-20)) ? line.slice(0, line.lastIndexOf(' (')) : line;
  if (plain.endsWith(header)) {
    const before = plain.slice(0, -header.length).slice(-40);
    const quoted = plain !== line || before.endsWith(originally);
    const own = before.endsWith(originally) ? before.slice(0, -originally.length) : before;
    return {
      prefix: rankBeforeHeader.exec(own)?.[0].trim() ?? '',
      text: header,
      header: quoted ? 'quoted' : 'own',
    };
  }
  const prefix = line.startsWith('[') ? (rankPrefix.exec(line)?.[0] ?? '') : '';
  const text = line.slice(prefix.length);
  return {
    prefix: prefix.trim(),
    text: groupBar.test(text) ? text.replace(groupBar, '') : text,
    header: undefined,
  };
}

/**
 * Reads `Type: message` or `package.Type`, the line that ends a traceback.
 * @param adjacent whether it stands right behind the traceback's other lines: then a bare `Diverged` counts too
 */
export function readErrorLine(text: string, adjacent: boolean): ErrorLine | undefined {
  const colon = text.indexOf(':');
  const type = colon === -1 ? text.trimEnd() : text.slice(0, colon);
  const isType =
    type.length <= 1200 && (builtIn.test(type) || qualified.test(type) || (adjacent && ofScript.test(type)));
  return isType ? { type, message: colon === -1 ? '' : text.slice(colon + 1).trim() } : undefined;
}
