import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import fs from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { plural } from '../util/text.js';
import { flagNames, type OptionNames } from './option-names.js';

/** A certificate, with those that vouch for it, and its private key; both as PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads what TLS needs and holds it against each other, so that a mistake is told at the start and not by every worker.
 * @param certFile PEM: the server's certificate first, then those between it and a root
 * @param keyFile PEM, without a passphrase
 * @param now ms since 1970
 * @returns exit 78 with one clear sentence
 */
export async function loadTls(
  certFile: string,
  keyFile: string,
  now: number,
  { tlsCert, tlsKey }: OptionNames = flagNames,
): Promise<Result<TlsFiles>> {
  const cert = await readPem(certFile, tlsCert);
  if (!cert.ok) return cert;
  const key = await readPem(keyFile, tlsKey);
  if (!key.ok) return key;
  const certificate = parseCertificate(cert.value);
  if (!certificate) return refuse(`${tlsCert} ${certFile} holds no certificate that can be read as PEM`);
  const privateKey = parseKey(key.value);
  if (typeof privateKey === 'string') return refuse(`${tlsKey} ${keyFile} ${privateKey}`);
  if (!certificate.checkPrivateKey(privateKey))
    return refuse(`${tlsKey} ${keyFile} is not the key of the certificate ${certFile}`);
  if (Date.parse(certificate.validTo) < now)
    return refuse(`${tlsCert} ${certFile} expired on ${certificate.validTo}; give a valid one`);
  try {
    createSecureContext({ cert: cert.value, key: key.value });
  } catch (error) {
    // what OpenSSL alone knows: a key too short, a chain it cannot read
    return refuse(`${tlsCert} ${certFile} and ${tlsKey} ${keyFile} cannot be used: ${errorText(error)}`);
  }
  return ok({ cert: cert.value, key: key.value });
}

/**
 * Whether one of these certificates is its own issuer: then whoever trusts them needs nobody else. A chain that ends at
 * an authority leaves that out, and would not be trusted by its own word. Pure.
 */
export const vouchesForItself = (pem: string): boolean =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? []).some((one) => {
    const certificate = new X509Certificate(one);
    return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
  });

const warnedDays = 30;

/**
 * @param now ms since 1970
 * @returns what is to be told of a certificate that ends soon, or has ended; undefined: nothing. Pure.
 */
export function warnOfExpiry(
  certFile: string,
  cert: string,
  now: number,
  { tlsCert }: OptionNames = flagNames,
): string | undefined {
  const { validTo } = new X509Certificate(cert);
  const days = Math.floor((Date.parse(validTo) - now) / 86_400_000);
  if (days >= warnedDays) return undefined;
  const when = days < 0 ? `expired on ${validTo}` : `expires on ${validTo}, in ${plural(days, 'day')}`;
  return `${tlsCert} ${certFile} ${when}: workers refuse it then; put a new one in its place and start again`;
}

const refuse = (text: string): Result<never> => fail(text, exitStatus.config);

async function readPem(file: string, name: string): Promise<Result<string>> {
  try {
    return ok(await fs.readFile(file, 'utf8'));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return fail(`${name} ${file} cannot be read: ${errorText(error)}`, exitStatus.config, errorCode(error));
  }
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // OpenSSL's words for it ("wrong tag") help nobody
    return undefined;
  }
}

function parseKey(pem: string): KeyObject | string {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    return errorCode(error) === 'ERR_MISSING_PASSPHRASE' || /ENCRYPTED/.test(pem)
      ? 'has a passphrase; give a key without one, readable by you alone'
      : 'holds no private key that can be read as PEM';
  }
}
