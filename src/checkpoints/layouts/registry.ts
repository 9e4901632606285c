import { accelerate } from './accelerate.js';
import { composer } from './composer.js';
import { dcp } from './dcp.js';
import { deepspeed } from './deepspeed.js';
import { diffusers } from './diffusers.js';
import { flax } from './flax.js';
import { generic } from './generic.js';
import { huggingface } from './huggingface.js';
import { keras } from './keras.js';
import { layoutNames, type Layout, type LayoutName, type Look } from './layout.js';
import { lightning } from './lightning.js';
import { megatron } from './megatron.js';
import { mmengine } from './mmengine.js';
import { nanogpt } from './nanogpt.js';
import { orbax } from './orbax.js';
import { ultralytics } from './ultralytics.js';

export { layoutNames, type LayoutName } from './layout.js';

/** The most particular first; `generic` takes whatever is left. */
export const layouts: readonly Layout[] = [
  huggingface, megatron, deepspeed, composer, lightning, accelerate, diffusers, flax, orbax, dcp, mmengine, keras,
  ultralytics, nanogpt, generic,
]; // prettier-ignore

export interface Choice {
  readonly layout: Layout;
  /** Others of whose checkpoints the folder holds some too. */
  readonly alsoMatches: readonly LayoutName[];
}

/** The layout that was asked for, or for `auto` the first that recognises the folder. */
export async function layoutFor(wanted: 'auto' | LayoutName, look: Look): Promise<Choice> {
  const named = layouts.find((layout) => layout.name === wanted);
  if (named) return { layout: named, alsoMatches: [] };
  const matching: Layout[] = [];
  for (const layout of layouts) if (await layout.matches(look)) matching.push(layout);
  const [layout = generic, ...others] = matching;
  // `generic` would take whatever it is
  const rivals = others.filter((other) => other !== generic);
  const taken = rivals.length === 0 ? new Set() : await namesOf(layout, look);
  const alsoMatches: LayoutName[] = [];
  for (const other of rivals) {
    const names = await namesOf(other, look);
    // two that would take the same entries do not contradict each other
    if (names.size > 0 && [...names].every((name) => !taken.has(name))) alsoMatches.push(other.name);
  }
  return { layout, alsoMatches };
}

async function namesOf(layout: Layout, look: Look): Promise<Set<string>> {
  const units = await layout.units(look);
  return new Set(units.flatMap((unit) => unit.members.map((member) => member.path)));
}

/** What a person should know of a folder that looks like several; undefined: it does not. */
export function describeAmbiguity(dir: string, choice: Choice): string | undefined {
  const others = choice.alsoMatches.flatMap((name) => layouts.filter((layout) => layout.name === name));
  const [first] = others;
  if (!first) return undefined;
  const titles = [choice.layout, ...others].map((layout) => layout.title);
  return `${dir} looks like ${titles.join(' and ')}; taken as ${choice.layout.title}, --layout ${first.name} chooses the other`;
}

export const isLayoutName = (name: string): name is LayoutName => layoutNames.some((known) => known === name);
