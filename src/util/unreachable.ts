/** Marks a branch that the types say cannot be taken; getting there is a bug. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
