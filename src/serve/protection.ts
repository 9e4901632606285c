import fs from 'node:fs/promises';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { isLoopback } from './address.js';
import { flagNames, type OptionNames } from './option-names.js';
import { loadTls, type TlsFiles, warnOfExpiry } from './tls.js';

interface ProtectionOptions {
  readonly host?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly insecure?: boolean;
  readonly names?: OptionNames;
  readonly notice: (text: string) => void;
}

/** What protects the way to the workers; none is needed where nothing leaves this machine. */
export async function protection({
  host = '127.0.0.1',
  tlsCert,
  tlsKey,
  insecure,
  names = flagNames,
  notice,
}: ProtectionOptions): Promise<Result<TlsFiles | undefined>> {
  if (tlsCert !== undefined && tlsKey !== undefined) {
    const loaded = await loadTls(tlsCert, tlsKey, Date.now(), names);
    if (loaded.ok) await warnOfKey(tlsKey, names, notice);
    return loaded;
  }
  if (tlsCert !== undefined || tlsKey !== undefined) {
    const missing = tlsCert === undefined ? names.tlsCert : names.tlsKey;
    return fail(
      `TLS needs both ${names.tlsCert} and ${names.tlsKey}; ${missing} is missing`,
      exitStatus.config,
    );
  }
  if (isLoopback(host)) return ok(undefined);
  if (insecure !== true) {
    return fail(
      `${names.host} ${host} lets other machines in, and without TLS everyone on the way could read the token: give ${names.tlsCert} and ${names.tlsKey}, or ${names.insecure} if the network is yours alone`,
      exitStatus.config,
    );
  }
  notice(
    `without TLS everyone on the way from other machines to ${host} can read the token and the checkpoints (${names.insecure})`,
  );
  return ok(undefined);
}

async function warnOfKey(keyFile: string, names: OptionNames, notice: (text: string) => void): Promise<void> {
  const { mode } = await fs.stat(keyFile);
  if ((mode & 0o077) === 0) return;
  const open = (mode & 0o777).toString(8);
  notice(
    `${names.tlsKey} ${keyFile} can be read by others (mode ${open}); make it yours alone with chmod 600`,
  );
}

/**
 * Tells of a certificate that ends soon: now, and once a day.
 * @returns ends it
 */
export function watchExpiry(
  tls: TlsFiles | undefined,
  { tlsCert = '', names, notice }: Pick<ProtectionOptions, 'tlsCert' | 'names' | 'notice'>,
): () => void {
  if (!tls) return () => undefined;
  const warn = (): void => {
    const text = warnOfExpiry(tlsCert, tls.cert, Date.now(), names);
    if (text !== undefined) notice(text);
  };
  warn();
  const timer = setInterval(warn, 86_400_000).unref();
  return () => clearInterval(timer);
}
