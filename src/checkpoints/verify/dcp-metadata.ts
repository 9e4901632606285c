/** What DCP writes beside its shards: a pickle, which is never unpickled. */
export const metadataName = '.metadata';

/**
 * The shards that a `.metadata` names. Their names stand in the pickle as plain text, so they can be found without
 * running it.
 */
export function shardsNamedIn(pickle: Buffer): ReadonlySet<string> {
  return new Set(pickle.toString('latin1').match(/__\d+(?:_\d+)+\.distcp/g) ?? []);
}
