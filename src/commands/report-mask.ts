import { maskText } from '../util/mask.js';

/** The same value with what looks like a secret hidden in every string. */
export function maskDeep<T>(value: T): T {
  if (typeof value === 'string') return maskText(value) as T;
  if (Array.isArray(value)) return value.map(maskDeep) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, maskDeep(one as unknown)]),
  ) as T;
}
