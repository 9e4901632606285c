import type { Refusal } from './guard.js';

/**
 * The workers of a run are given an address with their attempt in it, `/attempts/3/v1/…`: one that outlives its attempt,
 * on another machine say, must not speak for the next.
 * @param current the attempt under way; undefined: none is
 * @returns the path that is meant, or that its attempt is over
 */
export const attemptScope =
  (current: () => number | undefined) =>
  (url: string): string | Refusal => {
    const [prefix, attempt] = /^\/attempts\/(\d{1,9})(?=\/)/.exec(url) ?? [];
    if (prefix === undefined || Number(attempt) === current()) return url.slice(prefix?.length ?? 0);
    return {
      status: 410,
      detail: `Attempt ${attempt} of this run is over, so its workers are to stop; those of the next find their own TRAINGUARD_URL.`,
    };
  };

/** What stands before the paths of an attempt. */
export const attemptPath = (attempt: number): string => `/attempts/${attempt}`;

/** What the workers of an attempt find the server at `url` by. */
export const attemptEnv = (
  url: string,
  attempt: number,
  tokenFile: string,
  caFile: string | undefined,
): Readonly<Record<string, string>> => ({
  TRAINGUARD_URL: `${url}${attemptPath(attempt)}`,
  TRAINGUARD_TOKEN_FILE: tokenFile,
  ...(caFile !== undefined && { TRAINGUARD_CA: caFile }),
});
