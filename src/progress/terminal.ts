const codes = /\x1b\[[\d;?]{0,32}[A-Za-z]|\x08/g;

/** A line without the codes that move a terminal's cursor or colour its text, and without backspaces. */
export const withoutCodes = (line: string): string =>
  line.includes('\x1b') || line.includes('\b') ? line.replaceAll(codes, '') : line;
