import type { Answer } from './answer.js';

/** RFC 9457: what every error is told as. */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** One clear sentence, with the way out. */
  readonly detail: string;
}

/** Every status that an error may have, and what it is called. */
export const problemTitles = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
} as const;

export type ProblemStatus = keyof typeof problemTitles;

/** What is said of a bug of ours. */
export const internalError =
  'The server met an error of its own, which its log tells; report it, or try again.';

export const problemType = 'application/problem+json';

/** That a request is not taken, and what is said to it. */
export const refuse = (answer: Answer): { readonly ok: false; readonly error: Answer } => ({
  ok: false,
  error: answer,
});

/** @param detail one clear sentence, with the way out */
export function problem(
  status: ProblemStatus,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const body: ProblemDetails = { type: 'about:blank', title: problemTitles[status], status, detail };
  return { status, headers: { ...headers, 'content-type': problemType }, body };
}
