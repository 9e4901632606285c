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
 * The name in a Host header, or one that a person typed: without port, brackets, case and closing dot; an IPv4 address
 * that arrived over IPv6 as itself. Pure.
 */
export function bareName(host: string): string {
  const name = host.trim().toLowerCase();
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(name)?.[1];
  // more than one colon without brackets: an IPv6 address, not a port
  const bare = bracketed ?? (name.split(':').length > 2 ? name : name.replace(/:\d*$/, ''));
  return bare.replace(/^::ffff:(?=\d+\.)/, '').replace(/\.$/, '');
}

/** `https://node17:8471`, `http://[::1]:8471`. */
export const urlOf = (scheme: 'http' | 'https', host: string, port: number): string =>
  `${scheme}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
