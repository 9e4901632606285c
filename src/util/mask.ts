const hidden = '***';

/**
 * Hides secrets in an argument list, for whatever is shown or kept: `--token x`, `--api-key=x`, `HF_TOKEN=x`,
 * `wandb.api_key=x`, `-u name:x`, URLs with credentials. The list keeps its length.
 */
export function maskArgv(argv: readonly string[]): string[] {
  let previousNamesSecret = false;
  return argv.map((argument, index) => {
    const isValue = previousNamesSecret && !argument.startsWith('--');
    const equals = argument.indexOf('=');
    const name = equals < 0 ? argument : argument.slice(0, equals);
    const namesSecret = isOneWord(name) && isSecretName(name);
    previousNamesSecret = namesSecret && equals < 0 && argument.startsWith('-');
    if (isValue) return hidden;
    if (namesSecret && equals >= 0) return `${name}=${hidden}`;
    if (userFlag.test(argv[index - 1] ?? '')) return maskText(maskUser(argument));
    if (equals >= 0 && userFlag.test(name))
      return `${name}=${maskText(maskUser(argument.slice(equals + 1)))}`;
    return maskText(argument);
  });
}

/** Hides the values of secret variables, and credentials inside the others. */
export function maskEnv(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, isSecretName(name) ? hidden : maskText(value)]),
  );
}

/**
 * Hides what looks like a secret in free text (a log line, a reason, an evidence line). Linear in the text's length.
 * Bare words such as `key` or `token` are common in training output, so alone they count only right before `=` and a
 * long value; compound names (`api_key`, `HF_TOKEN`), `password` and `secret` count before `=`, `:` or, as a flag, a
 * blank too, and any of them in a URL's query.
 */
export function maskText(text: string): string {
  return maskKnownTokens(maskUsers(maskNamed(maskUrls(text))));
}

const secretWords = new Set(
  'token key password passwd passphrase secret secrets credential credentials apikey accesskey pwd pass auth'.split(
    ' ',
  ),
);
const secretAnywhere = /password|passwd|secret|credential/i;
const weakAlone = new Set(['key', 'token', 'auth', 'pass', 'pwd']);

/**
 * Whether a variable or flag of this name holds a secret: its last word is `token`, `key`…, or it speaks of a password,
 * secret or credential anywhere. `PWD` is the working directory, and `tokenizer` or `num_tokens` are no secrets.
 */
export function isSecretName(name: string): boolean {
  if (/^(OLD)?PWD$/.test(name)) return false;
  return secretAnywhere.test(name) || secretWords.has(words(name).at(-1) ?? '');
}

/** `wandb.apiKey` → wandb, api, key. */
const words = (name: string): string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]/)
    .filter((word) => word !== '');

const isOneWord = (text: string): boolean => text.length <= 256 && /^[\w.+-]+$/.test(text);

/** `https://user:password@host` → `https://***@host`. The authority ends at the first `/`, blank or quote. */
function maskUrls(text: string): string {
  let out = '';
  let done = 0;
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', done)) {
    const start = at + 3;
    authorityEnd.lastIndex = start;
    const end = authorityEnd.exec(text)?.index ?? text.length;
    const authority = text.slice(start, end);
    const sign = authority.lastIndexOf('@');
    out += text.slice(done, start) + (sign < 0 ? authority : hidden + authority.slice(sign));
    done = end;
  }
  return out + text.slice(done);
}

/** curl's `-u name:password`; docker's `-u 1000:1000` and an address are none. */
const userFlag = /^(?:-[uU]|--user|--proxy-user)$/;
const maskUser = (value: string): string => value.replace(/^(?!\d+:\d+$)([^:]*:)(?!\/\/).+$/s, `$1${hidden}`);

const userInText = /(?<![\w-])((?:-[uU]|--(?:proxy-)?user)[= ]["']?)(?!["'])([^\s:"'=]{1,256}:[^\s"'`]+)/g;
const maskUsers = (text: string): string =>
  text.replace(userInText, (_, flag: string, value: string) => flag + maskUser(value));

const authorityEnd = /[\s/?#"'`<>\\]/g;

/** What lets in whoever has the address: `sig` of Azure, `X-Amz-Signature`. */
const isSignature = /(?:^|[-_])sig(?:nature)?$/i;

/** `NAME=value`, `"name": "value"`, `--name value`, `?name=value` where the name is a secret's. */
function maskNamed(text: string): string {
  const name = /[A-Za-z0-9_.-]+/g;
  let out = '';
  let done = 0;
  for (let match = name.exec(text); match; match = name.exec(text)) {
    const [word] = match;
    if (word.length > 256) continue;
    const inQuery = /[?&]/.test(text[match.index - 1] ?? '') && text[name.lastIndex] === '=';
    if (!isSecretName(word) && !(inQuery && isSignature.test(word))) continue;
    const start = inQuery ? name.lastIndex + 1 : valueStart(text, word, name.lastIndex);
    if (start === undefined) continue;
    const end = valueEnd(text, start);
    if (end === start) continue;
    out += text.slice(done, start) + hidden;
    done = end;
    name.lastIndex = end;
  }
  return out + text.slice(done);
}

const separator = /["']?[ \t]{0,4}[=:][ \t]{0,4}/y;
const longValue = /[\w.+/-]{16}/y;

/** Where the value of the secret named before `after` begins, if one follows. */
function valueStart(text: string, word: string, after: number): number | undefined {
  const parts = words(word);
  if (word.startsWith('-')) {
    if (text[after] === ' ' && text[after + 1] !== '-') return after + 1;
    if (text[after] === '=') return after + 1;
  }
  if (parts.length === 1 && weakAlone.has(parts[0] ?? '')) {
    longValue.lastIndex = after + 1;
    return text[after] === '=' && longValue.test(text) ? after + 1 : undefined;
  }
  separator.lastIndex = after;
  return separator.test(text) ? separator.lastIndex : undefined;
}

const bareEnd = /[\s,;&"'`)}\]]/g;

function valueEnd(text: string, start: number): number {
  const quote = text[start];
  if (quote === '"' || quote === "'") {
    const close = text.indexOf(quote, start + 1);
    return close < 0 ? text.length : close + 1;
  }
  // `Authorization: Bearer x`: the word after the scheme is the secret
  const scheme = /(?:Bearer|Basic) {1,4}/iy;
  scheme.lastIndex = start;
  bareEnd.lastIndex = scheme.test(text) ? scheme.lastIndex : start;
  return bareEnd.exec(text)?.index ?? text.length;
}

// Tokens whose issuers gave them a shape, so that they are known without a name: Hugging Face, GitHub, GitLab, OpenAI
// and its likes, AWS key ids, Slack, whatever follows `Bearer`, and what follows the other schemes of a header.
const knownTokens =
  /\b(?:hf_|gh[opsu]_|github_pat_|glpat-|sk-|xox[abp]-|AKIA)[\w-]{16,}|\b(Bearer) {1,4}[\w.~+/=-]{8,}|\b(Authorization["']?[:=] {0,4}["']?(?:Basic|Token|ApiKey|Digest)) {1,4}[^\s"'`]+/gi;

const maskKnownTokens = (text: string): string =>
  text.replace(knownTokens, (_, bearer?: string, header?: string) => {
    const scheme = bearer ?? header;
    return scheme === undefined ? hidden : `${scheme} ${hidden}`;
  });
