import { bareName } from './address.js';
import { flagNames, type OptionNames } from './option-names.js';
import type { ProblemStatus } from './problem.js';
import { sameToken } from './token.js';

/** Whom we answer. */
export interface GuardRules {
  readonly token: string;
  readonly scheme: 'http' | 'https';
  /** Names of ours, as {@link bareName} gives them; the address that a connection came to is always one. */
  readonly names: ReadonlySet<string>;
  readonly optionNames?: OptionNames;
}

/** What a request says of who sends it and to whom. */
export interface Caller {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
  /** The address of ours that the connection came to. */
  readonly localAddress: string | undefined;
}

/** Why a request is turned away before anything of it is looked at. */
export interface Refusal {
  readonly status: ProblemStatus;
  /** One clear sentence with the way out. */
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Lets pass who shows the token and speaks to us under a name of ours; a page in somebody's browser does neither: not by
 * DNS that it had changed meanwhile (the Host is its own), nor across sites (the Origin is). Pure; takes as long for a
 * token that is nearly right as for any other.
 * @returns undefined: it may pass
 */
export function createGuard(rules: GuardRules): (caller: Caller) => Refusal | undefined {
  return ({ host, origin, authorization, localAddress }) => {
    const name = host === undefined ? undefined : bareName(host);
    const ours =
      name !== undefined &&
      (rules.names.has(name) || (localAddress !== undefined && name === bareName(localAddress)));
    if (!ours) return otherHost(host, rules.optionNames);
    if (origin !== undefined && origin.toLowerCase() !== `${rules.scheme}://${host?.toLowerCase() ?? ''}`) {
      return { status: 403, detail: 'Requests from web pages of other sites (Origin) are not answered.' };
    }
    const token = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) {
      const detail =
        'The token is missing: send "Authorization: Bearer TOKEN" with the content of the token file that "trainguard serve" named.';
      return { status: 401, detail, headers: { 'WWW-Authenticate': 'Bearer realm="trainguard"' } };
    }
    if (sameToken(token, rules.token)) return undefined;
    return {
      status: 401,
      detail:
        'The token is not the one of this server: read it anew from the token file that "trainguard serve" named.',
      headers: { 'WWW-Authenticate': 'Bearer realm="trainguard", error="invalid_token"' },
    };
  };
}

function otherHost(host: string | undefined, { allowHosts }: OptionNames = flagNames): Refusal {
  const named = host === undefined ? 'no name' : JSON.stringify(host.slice(0, 80));
  return {
    status: 403,
    detail: `The request's Host is ${named}, which is none of this server's; if it is meant to be, start the server with ${allowHosts}.`,
  };
}
