// Has the supervisor name the boundaries of its effects: before one is performed, after it was begun, and when the work
// that it began is done. The program on disk stays as it is.
const performs = 'export function performEffect(';

/** Its modules one by one, not the bundle of them that bin/ starts. */
export const resolve = (specifier, context, next) =>
  next(specifier.replace('dist/bin/cli.js', 'dist/src/cli.js'), context);

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (!url.endsWith('/src/supervisor/effects.js')) return loaded;
  const source = String(loaded.source);
  if (!source.includes(performs)) throw new Error(`${url} has no performEffect any more`);
  return { ...loaded, source: source.replace(performs, 'function performPlainly(') + bounded };
}

const bounded = `
export function performEffect(loop, effect) {
  const boundary = (when) => globalThis.chaosBoundary('effect ' + effect.type + ' ' + when);
  boundary('before');
  let begins = true;
  const watched = new Proxy(loop, {
    get(target, key) {
      if (key !== 'keep' || !begins) return target[key];
      return (work) => target.keep(work.then(() => boundary('done')));
    },
  });
  performPlainly(watched, effect);
  begins = false;
  boundary('begun');
}
`;
