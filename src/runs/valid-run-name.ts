import { exitStatus, fail, ok, type Result } from '../util/result.js';

const longest = 100;

/** Whether a name may be a run's: it is a folder's name, and must not leave its folder or confuse a terminal. */
export function validRunName(text: string): Result<string> {
  const wrong = whatIsWrong(text);
  if (wrong === undefined) return ok(text);
  return fail(
    `run name ${JSON.stringify(text.slice(0, longest))} ${wrong}; ` +
      `allowed are letters, digits, dots, dashes, underscores and inner blanks, up to ${longest} of them, ` +
      `not beginning with a dot or a dash`,
    exitStatus.usage,
  );
}

function whatIsWrong(text: string): string | undefined {
  if (text.trim() === '') return 'is empty';
  if (text.includes('/') || text.includes('\\')) return 'contains a slash';
  if (text.includes('..')) return 'contains ".."';
  if (/\p{C}/u.test(text)) return 'contains a control or invisible character';
  if (/^[.-]/.test(text)) return `begins with ${text.startsWith('.') ? 'a dot' : 'a dash'}`;
  if (text.trim() !== text) return 'begins or ends with a blank';
  if (!/^[\p{L}\p{M}\p{N}._ +=@,:-]+$/u.test(text)) return 'contains a character that is not allowed';
  if (Array.from(text).length > longest) return `is longer than ${longest} characters`;
  // a file name holds 255 bytes on every usual file system
  return Buffer.byteLength(text) > 240 ? 'is longer than 240 bytes' : undefined;
}
