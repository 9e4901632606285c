import { isIP } from 'node:net';

/** Names by which a machine calls itself; what is sent to them never leaves it. */
export const loopbackNames: readonly string[] = ['localhost', '127.0.0.1', '::1'];

/**
 * Whether what listens on this host can be reached from this machine alone. Another name than localhost counts as no:
 * what it means is not ours to decide. Pure.
 */
export function isLoopback(host: string): boolean {
  const name = bareName(host);
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** Whether it means every address of this machine. */
export const isWildcard = (host: string): boolean => ['0.0.0.0', '::', ''].includes(bareName(host));

/**
 * What is wrong with a name that a person gave for a machine: a port or a scheme would be
 * lost without a word. Pure.
 * @returns undefined: nothing
 */
export function wrongName(option: string, name: string): string | undefined {
  if (isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || /^[^\s:/@?#[\]\\]*$/.test(name)) return undefined;
  return `${option} ${name} is not a name or an address alone; leave out scheme, port and path`;
}

/**
 * The name in a Host header, or one that a person typed: without port, brackets, zone, case and closing dot; an address
 * as it is usually written, and one of IPv4 that arrived over IPv6 as itself. Pure.
 */
export function bareName(host: string): string {
  const name = host.trim().toLowerCase();
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(name)?.[1];
  // more than one colon without brackets: an IPv6 address, not a port
  const bare = bracketed ?? (name.split(':').length > 2 ? name : name.replace(/:\d*$/, ''));
  return usualForm(bare.replace(/\.$/, '').replace(/%.*$/, ''));
}

/** `0:0:0:0:0:0:0:1` → `::1`, `::ffff:7f00:1` → `127.0.0.1`, `0` → `0.0.0.0`. */
function usualForm(name: string): string {
  const version = isIP(name);
  if (version === 6) {
    const usual = new URL(`http://[${name}]`).hostname.slice(1, -1);
    const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(usual) ?? [];
    if (high === undefined || low === undefined) return usual;
    return [high, low].flatMap(bytesOf).join('.');
  }
  // what the system's resolver takes for an IPv4 address
  const numeric = version === 0 && /^\d[\da-fx.]*$/.test(name) && URL.canParse(`http://${name}`);
  return numeric ? new URL(`http://${name}`).hostname : name;
}

const bytesOf = (hex: string): number[] => [parseInt(hex, 16) >> 8, parseInt(hex, 16) & 0xff];

/** `https://node17:8471`, `http://[::1]:8471`. */
export const urlOf = (scheme: 'http' | 'https', host: string, port: number): string =>
  `${scheme}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
