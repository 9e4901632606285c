import path from 'node:path';
import { stampOf } from '../util/os/dir-walk.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { nearest } from '../util/text.js';
import { writersUnder } from '../util/os/dir-writers.js';
import { incomplete } from './judge.js';
import { Manifests } from './manifest.js';
import { writerOf } from './quiet.js';
import { Scanner } from './scan.js';
import { damageOf, type DigestedFile } from './spares/spare.js';
import { Shelf } from './spares/shelf.js';
import { sameFiles, sameStat, sizeOf, type Unit } from './unit.js';
import { findVault, inVault } from './vault.js';
import { verifyAgainst } from './verify/against.js';
import { verifyUnit, type UnitFiles, type UnitVerdict } from './verify/unit.js';
import type { LayoutName } from './layouts/registry.js';

export interface ExamineOptions {
  readonly dir: string;
  readonly layout: 'auto' | LayoutName;
  /** `--vault DIR`. */
  readonly vault?: string;
  /** Only these; all unless given. */
  readonly ids: readonly string[];
  /** Read every byte, or the structure only. */
  readonly deep: boolean;
  /** A training may be saving: what changed within this time is being written, ms. 0: nothing is. */
  readonly settleMs: number;
  readonly onNotice: (text: string) => void;
}

/** What one checkpoint was found to be. */
export interface Examined {
  readonly id: string;
  readonly verdict: 'good' | 'damaged' | 'unreadable' | 'being written' | 'gone';
  /** What is wrong, or what else is to be said of it. */
  readonly words?: string;
  readonly depth: 'deep' | 'structure' | 'none';
  readonly sizeBytes: number;
  readonly files: number;
  /** Files of which the bytes were compared with what was recorded when they were verified. */
  readonly compared: number;
  readonly spare?: true;
}

/** A checkpoint that is to be looked at, in the folder or in the vault. */
interface Subject {
  readonly id: string;
  readonly root: string;
  readonly unit: Unit;
  /** As they were when their bytes were known, if they still are those files. */
  readonly recorded: readonly DigestedFile[];
  /** What is wrong with it before any file is opened. */
  readonly wrong?: { readonly verdict: Examined['verdict']; readonly words: string };
  readonly spare?: true;
}

export interface Examination {
  readonly dir: string;
  readonly layout: string;
  readonly vault: string | undefined;
  /** Oldest first. */
  readonly ids: readonly string[];
  /** Visible entries that belong to none. */
  readonly foreign: readonly string[];
  /** One after the other, as they are done. */
  readonly examined: () => AsyncGenerator<Examined>;
}

/**
 * Looks at the checkpoints of any folder by their content; writes nothing, and needs neither run nor vault.
 * @returns a usage problem for an id that is not there
 * @throws the system's error when the folder cannot be listed
 */
export async function examine(options: ExamineOptions): Promise<Result<Examination>> {
  const { dir, ids, deep } = options;
  const scanner = new Scanner(dir, options.layout);
  const scan = await scanner.scan(() => false);
  const named = options.vault === undefined ? {} : { named: options.vault };
  const vault = await findVault({ dir, bearsDotName: true, ...named });
  const subjects = [
    ...(await inFolder(options, scan, vault)),
    ...(await inTheVault(options, vault, scan.units)),
  ];
  const known = subjects.map((one) => one.id);
  const unknown = ids.find((id) => !known.includes(id));
  if (unknown !== undefined) {
    const near = nearest(unknown, known);
    const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
    return fail(`there is no checkpoint ${JSON.stringify(unknown)} in ${dir}${hint}`, exitStatus.usage);
  }
  const wanted = ids.length === 0 ? subjects : subjects.filter((one) => ids.includes(one.id));
  const taken = new Set(scan.units.flatMap((unit) => unit.members.map((member) => member.path)));
  return ok({
    ...{ dir, layout: scan.layout.name, vault, ids: wanted.map((one) => one.id) },
    foreign: scan.entries
      .map((entry) => entry.path)
      .filter((name) => !name.startsWith('.') && !taken.has(name)),
    async *examined() {
      for (const subject of wanted) yield await examineOne(subject, deep);
    },
  });
}

async function inFolder(
  { dir, settleMs, onNotice }: ExamineOptions,
  { layout, units }: Awaited<ReturnType<Scanner['scan']>>,
  vault: string | undefined,
): Promise<readonly Subject[]> {
  const manifests = new Manifests(vault && path.join(vault, inVault.manifests), onNotice);
  const writers = await writersUnder(dir);
  const subjects: Subject[] = [];
  for (const [index, unit] of units.entries()) {
    const manifest = await manifests.get(unit.id);
    const recorded = manifest && sameFiles(manifest.files, unit.files) ? manifest.files : [];
    const older = index === units.length - 1 ? units.slice(0, index) : undefined;
    const writer = writerOf(unit, dir, writers);
    const young = unit.files.some((file) => Date.now() - Math.max(file.ctimeMs, file.mtimeMs) < settleMs);
    const unended = incomplete(layout, unit, older);
    const wrong: Subject['wrong'] =
      writer || young
        ? { verdict: 'being written', words: writer ? `process ${writer.pid} has ${writer.path} open for writing` : 'it changed just now' } // prettier-ignore
        : unit.unreadable !== undefined
          ? { verdict: 'unreadable', words: unit.unreadable }
          : unended === undefined
            ? undefined
            : { verdict: 'damaged', words: unended };
    subjects.push({ id: unit.id, root: dir, unit, recorded, ...(wrong && { wrong }) });
  }
  return subjects;
}

/** Spares of what the folder no longer holds. */
async function inTheVault(
  { onNotice }: ExamineOptions,
  vault: string | undefined,
  live: readonly Unit[],
): Promise<readonly Subject[]> {
  const shelf = new Shelf(vault, onNotice);
  const subjects: Subject[] = [];
  for (const spare of await shelf.list()) {
    const there = live.find((unit) => unit.id === spare.of);
    if (there && sameFiles(spare.files, there.files)) continue;
    const held = await shelf.held(spare);
    const damage = damageOf(held);
    // a supervisor's retention is no damage either
    if (damage !== undefined && !(await shelf.get(spare.id))) continue;
    const { files, folders } = { files: held.present, folders: [] };
    const unit: Unit = { id: spare.id, members: [], files, folders, mayBeStep: false, expected: new Map() };
    const wrong = damage === undefined ? {} : { wrong: { verdict: 'damaged' as const, words: damage } };
    subjects.push({ id: spare.id, root: held.root, unit, recorded: spare.files, spare: true, ...wrong });
  }
  return subjects;
}

async function examineOne(
  { id, root, unit, recorded, wrong, spare }: Subject,
  deep: boolean,
): Promise<Examined> {
  const plain = unit.files.filter((file) => file.kind === 'file').map((file) => file.path);
  const bytes = sizeOf(unit);
  const common = { id, sizeBytes: bytes, files: plain.length, ...(spare && { spare }) };
  const none = { ...common, depth: 'none', compared: 0 } as const;
  const [main] = unit.members;
  if (wrong && main && !(await stampOf(root, main.path))) return removed(none);
  if (wrong) return { ...none, ...wrong };
  const files: UnitFiles = { root, files: plain, expected: unit.expected, bytes };
  const goOn = (): boolean => true;
  try {
    const verdict = deep
      ? await verifyAgainst(recorded, files, { goOn })
      : await verifyUnit(files, { deep: false, goOn });
    for (const file of unit.files) {
      const now = await stampOf(root, file.path);
      if (!now) return removed(none);
      if (!sameStat(file, now)) return { ...none, verdict: 'being written', words: `${file.path} changed while it was read` }; // prettier-ignore
    }
    const known = recorded.filter(
      ({ path: name, digest }) => digest !== undefined && verdict.digests.has(name),
    );
    return {
      ...common,
      ...{ depth: verdict.depth, compared: verdict.damage === undefined ? known.length : 0 },
      ...wordsOf(verdict),
    };
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return code === 'ENOENT' ? removed(none) : { ...none, verdict: 'unreadable', words: errorText(error) };
  }
}

/** The trainer's rotation is no damage. */
const removed = (one: Omit<Examined, 'verdict'>): Examined => ({
  ...one,
  verdict: 'gone',
  words: 'it was removed while it was read',
});

function wordsOf({ damage, nonFinite, unproven }: UnitVerdict): Pick<Examined, 'verdict' | 'words'> {
  if (damage !== undefined) return { verdict: 'damaged', words: damage };
  const { nan } = nonFinite;
  const words =
    nan === undefined ? unproven && `as far as can be seen: ${unproven}` : `tensor ${nan} holds NaN`;
  return { verdict: 'good', ...(words !== undefined && { words }) };
}
