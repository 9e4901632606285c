import { generic } from './generic.js';
import { huggingface } from './huggingface.js';
import type { Layout, Look } from './layout.js';

/** The most particular first; `generic` takes whatever is left. */
export const layouts: readonly Layout[] = [huggingface, generic];

export type LayoutName = 'generic' | 'huggingface';

/** The layout that was asked for, or for `auto` the first that recognises the folder. */
export async function layoutFor(wanted: 'auto' | LayoutName, look: Look): Promise<Layout> {
  for (const layout of layouts)
    if (wanted === 'auto' ? await layout.matches(look) : layout.name === wanted) return layout;
  return generic;
}

/** What `--layout` takes besides `auto`. */
export const layoutNames: readonly LayoutName[] = layouts.map((layout) => layout.name as LayoutName);

export const isLayoutName = (name: string): name is LayoutName => layoutNames.some((known) => known === name);
