import { maskArgv } from '../util/mask.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { splitWords } from './resume-plan.js';

/** Who is notified. `shown` names it in messages and logs, without its secrets. */
export type NotifyTarget = { readonly shown: string } & (
  | { readonly type: 'url'; readonly url: string; readonly authorization?: string }
  | { readonly type: 'command'; readonly argv: readonly [string, ...string[]] }
);

/**
 * Reads what `--notify` or config `notify` names.
 * @param wish a URL or a command as one text, or a command as its list of arguments
 * @param byFlag where it was said, for the exit status of a refusal
 */
export function notifyTarget(wish: string | readonly string[], byFlag: boolean): Result<NotifyTarget> {
  const exit = byFlag ? exitStatus.usage : exitStatus.config;
  const where = byFlag ? '--notify' : 'notify';
  if (typeof wish === 'string' && /^[a-z][a-z0-9+.-]*:\/\//i.test(wish)) return urlTarget(wish, where, exit);
  const words = typeof wish === 'string' ? splitWords(wish, where, exit) : ok(wish);
  if (!words.ok) return words;
  const [program, ...args] = words.value;
  if (program === undefined || program === '') {
    return fail(`${where} names nobody; give an http or https URL, or a command`, exit);
  }
  return ok({
    type: 'command',
    argv: [program, ...args],
    shown: maskArgv(words.value.map(withoutPaths)).join(' '),
  });
}

/** `curl https://hooks.example.org/secret` → `curl https://hooks.example.org/…`, also within a word that a shell reads. */
const withoutPaths = (word: string): string =>
  word.replace(/\bhttps?:\/\/[^\s"'`<>;|]+/gi, (text) =>
    URL.canParse(text) ? shownUrl(new URL(text)) : text,
  );

const shownUrl = ({ origin, pathname, search }: URL): string =>
  pathname === '/' && search === '' ? origin : `${origin}/…`;

/** The path and the query of a webhook's address are its password, so only the host is shown. */
function urlTarget(text: string, where: string, exit: number): Result<NotifyTarget> {
  const scheme = text.slice(0, text.indexOf(':'));
  if (!URL.canParse(text) || !/^https?$/i.test(scheme)) {
    return fail(`${where} takes http and https URLs and commands, and this ${scheme} URL is neither`, exit);
  }
  const url = new URL(text);
  const { username, password } = url;
  // fetch takes no credentials in a URL
  url.username = '';
  url.password = '';
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return ok({
    type: 'url',
    url: url.href,
    shown: shownUrl(url),
    ...(credentials !== ':' && { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
  });
}
