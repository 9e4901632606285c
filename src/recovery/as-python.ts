import type { ErrorReport } from './decision.js';

// The table of failures is written for what Python prints. An error of another language is told in that form.

/** What begins a traceback of Python, and a line of one that names a place. */
const header = 'Traceback (most recent call last):';
const pythonFrame = /^[ \t]{1,40}File "[^"]{1,1000}", line \d{1,9}/m;

/** Whether a text holds a traceback of Python, with its header or without. */
export const holdsPython = (text: string): boolean => text.includes(header) || pythonFrame.test(text);

/** A traceback whose header got lost is none to whoever looks for it. */
export const withHeader = (text: string): string => (text.includes(header) ? text : `${header}\n${text}`);

/** What Python's message would say in place of the code, by the names of Node and libuv. Numbers are Linux's. */
const wordsOf: Readonly<Record<string, string>> = {
  EIO: '[Errno 5]',
  ENOMEM: '[Errno 12]',
  EMFILE: '[Errno 24]',
  ENOSPC: '[Errno 28]',
  EROFS: '[Errno 30]',
  EADDRINUSE: '[Errno 98]',
  ENETUNREACH: '[Errno 101]',
  ECONNABORTED: '[Errno 104]',
  ECONNRESET: '[Errno 104]',
  EPIPE: '[Errno 104]',
  ERR_STREAM_PREMATURE_CLOSE: '[Errno 104]',
  UND_ERR_SOCKET: '[Errno 104]',
  ETIMEDOUT: '[Errno 110]',
  UND_ERR_BODY_TIMEOUT: '[Errno 110]',
  UND_ERR_CONNECT_TIMEOUT: '[Errno 110]',
  UND_ERR_HEADERS_TIMEOUT: '[Errno 110]',
  ECONNREFUSED: '[Errno 111]',
  EHOSTUNREACH: '[Errno 113]',
  ESTALE: '[Errno 116]',
  EDQUOT: '[Errno 122]',
  EAI_AGAIN: 'Temporary failure in name resolution:',
  ENOTFOUND: 'Temporary failure in name resolution:',
  'HTTP 429': 'HTTPError: 429 Client Error:',
  'HTTP 500': 'HTTPError: 500 Server Error:',
  'HTTP 502': 'HTTPError: 502 Server Error:',
  'HTTP 503': 'HTTPError: 503 Server Error:',
  'HTTP 504': 'HTTPError: 504 Server Error:',
};

/** Errors that Python has an own class for. */
const classOf: Readonly<Record<string, string>> = {
  ERR_MODULE_NOT_FOUND: 'ModuleNotFoundError',
  MODULE_NOT_FOUND: 'ModuleNotFoundError',
  ERR_WORKER_OUT_OF_MEMORY: 'MemoryError',
};

/** What V8 says where it gets no memory. */
const v8OutOfMemory = /^Array buffer allocation failed|out of memory/i;

const isClass = /^(?:(?:[A-Za-z_]\w{0,100}\.){1,12}[A-Za-z_]|[A-Z])\w{0,100}$/;

/** An error as Python would print it. */
export interface AsPython {
  readonly text: string;
  /** The type and message as they are in `text`, and as they were. */
  readonly told: string;
  readonly own: string;
}

/** Tells an error that comes without a traceback of Python as Python would. */
export function asPython({ type = 'Error', message, traceback = '', code = '' }: ErrorReport): AsPython {
  const own = type === '' ? message : `${type}: ${message}`;
  const known = code === '' ? codeIn(message) : code;
  const words = Object.hasOwn(wordsOf, known) ? wordsOf[known] : undefined;
  const [first = '', ...rest] = [words ?? [], isClass.test(type) ? message : own]
    .flat()
    .join(' ')
    .split('\n');
  const told = `${className({ type, message, traceback, code })}: ${first}`;
  // what goes on with a message is indented, or it is another log line
  const lines = [header, ...framesOf(traceback), told, ...rest.map((line) => `  ${line}`)];
  return { text: lines.join('\n'), told, own: own.split('\n', 1)[0] ?? '' };
}

/** The code in a message whose error bears none, since somebody wrapped it: `connect ECONNREFUSED 127.0.0.1:80`. */
const codeIn = (message: string): string =>
  message.match(/\bE[A-Z]{2,20}\b/g)?.find((word) => Object.hasOwn(wordsOf, word)) ?? '';

function className({
  type,
  message,
  traceback,
  code,
}: Required<Pick<ErrorReport, 'type' | 'message' | 'traceback' | 'code'>>): string {
  if (type === 'RangeError' && v8OutOfMemory.test(message)) return 'MemoryError';
  const known = Object.hasOwn(classOf, code) ? classOf[code] : undefined;
  if (known !== undefined) return known;
  if (!isClass.test(type)) return 'Error';
  // JSON.parse throws one too: only code that is being loaded is code
  const thrownAt = type === 'SyntaxError' ? atLine.exec(traceback)?.[0] : undefined;
  const ofData = thrownAt !== undefined && !thrownAt.includes('node:internal/');
  return ofData ? 'data.SyntaxError' : type;
}

const mostFrames = 64;
const atLine =
  /^[ \t]{1,40}at (?:async )?(?:([^\n(]{1,200}) \()?(?:file:\/\/)?(?:([^\n"()]{1,1000}):(\d{1,9}):\d{1,9}|<anonymous>)\)?$/m;

/** The frames of a JavaScript stack in Python's order, the innermost last: those of the caller's own code, if any are. */
function framesOf(stack: string): readonly string[] {
  const frames = stack
    .split('\n')
    .slice(-4 * mostFrames)
    .flatMap((line) => {
      const [, name = '<module>', file, number] = (line.length < 2000 && atLine.exec(line)) || [];
      return file === undefined ? [] : [{ file, text: `  File "${file}", line ${number}, in ${name}` }];
    });
  const own = frames.filter(({ file }) => !file.startsWith('node:') && !file.includes('/node_modules/'));
  return (own.length > 0 ? own : frames)
    .slice(0, mostFrames)
    .reverse()
    .map(({ text }) => text);
}
