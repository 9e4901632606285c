/** A name that comes from the file, for a message: shortened, and no control characters in it. */
export const quote = (name: string): string => `"${name.slice(0, 80).replace(/[\x00-\x1f\x7f]/g, '?')}"`;
