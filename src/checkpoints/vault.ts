import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone } from '../util/os/dir-walk.js';
import { bootId } from '../util/os/boot.js';
import { errorCode, errorText, files, syncDir, writeFileAtomic } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { makeDirs } from '../util/os/make-dirs.js';

/** The folders of a vault. */
export const inVault = {
  manifests: 'manifests',
  journal: 'journal',
  quarantine: 'quarantine',
  spares: 'spares',
} as const;

export interface VaultWish {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  /** `--vault DIR`. */
  readonly named?: string;
  /** The layout's framework overlooks a dot-named folder inside. */
  readonly bearsDotName: boolean;
}

/** Where the vault may lie, best first. */
function candidates({ dir, named, bearsDotName }: VaultWish): string[] {
  const name = path.basename(dir);
  if (named !== undefined) {
    // several checkpoint folders may share one --vault
    const short = createHash('sha256').update(dir).digest('hex').slice(0, 8);
    return [path.join(path.resolve(named), `${name}-${short}`)];
  }
  const sibling = path.join(path.dirname(dir), `.${name}.trainguard`);
  return bearsDotName ? [sibling, path.join(dir, '.trainguard')] : [sibling];
}

/** The vault that is there already, for a look that writes nothing. */
export async function findVault(wish: VaultWish): Promise<string | undefined> {
  for (const candidate of candidates({ ...wish, bearsDotName: true }))
    if (await isFolder(path.join(candidate, inVault.manifests))) return candidate;
  return undefined;
}

/**
 * Makes the vault where a rename from the checkpoint folder really reaches, tried with a probe file: device numbers
 * lie (bind mounts, overlays, btrfs subvolumes).
 */
export async function placeVault(wish: VaultWish, notice: (text: string) => void): Promise<Result<string>> {
  const reasons: string[] = [];
  for (const [index, candidate] of candidates(wish).entries()) {
    const { reason, passing } = await tryVault(wish.dir, candidate);
    if (reason === undefined) {
      if (index > 0)
        notice(
          `${reasons.join('; ')}; rolled-back checkpoints go to ${candidate}, inside the checkpoint folder`,
        );
      return ok(candidate);
    }
    // a disk that is full today is no reason to lay the vault, and look for it tomorrow, elsewhere
    if (passing !== undefined)
      return fail(`the vault ${candidate} cannot be made: ${reason}; free the disk, then try again`, exitStatus.config, passing); // prettier-ignore
    reasons.push(`${candidate} cannot take what a rollback moves out of ${wish.dir}: ${reason}`);
  }
  const advice =
    wish.named === undefined
      ? 'name a folder on the same file system with --vault DIR, or mount the parent of the checkpoint folder'
      : 'name a folder on the file system of the checkpoint folder with --vault DIR';
  return fail(`${reasons.join('; ')}; ${advice}`, exitStatus.config);
}

interface Trial {
  /** Why it cannot be used; undefined: it can. */
  readonly reason?: string;
  /** The code of a failure that says nothing of the place. */
  readonly passing?: string;
}

async function tryVault(dir: string, vault: string): Promise<Trial> {
  try {
    await makeDirs(vault, 0o700, 0o777);
    for (const name of Object.values(inVault))
      await files.mkdir(path.join(vault, name), { recursive: true, mode: 0o700 });
    // a folder that is still to be made will lie on its parent's file system
    const from = (await isFolder(dir)) ? dir : path.dirname(dir);
    const proven = await identity(from, vault);
    if ((await readProof(vault)) === proven) return {};
    await probe(from, vault);
    await syncDir(path.dirname(vault));
    await writeFileAtomic(path.join(vault, 'vault.json'), JSON.stringify({ schemaVersion: 1, proven }));
    return {};
  } catch (error) {
    await removeIfEmpty(vault);
    const code = errorCode(error);
    if (code === undefined) throw error;
    if (code === 'EXDEV') return { reason: 'it is on another file system' };
    if (['EACCES', 'EPERM'].includes(code)) return { reason: 'no permission' };
    if (code === 'EROFS') return { reason: 'it is read-only' };
    const passing = ['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE'].includes(code);
    return { reason: errorText(error), ...(passing && { passing: code }) };
  }
}

/** A vault that cannot be used must not be found by a later look. */
async function removeIfEmpty(vault: string): Promise<void> {
  for (const folder of [...Object.values(inVault).map((name) => path.join(vault, name)), vault]) {
    await files.rmdir(folder).catch((error: unknown) => {
      if (errorCode(error) === undefined) throw error;
      // not made, not empty or not ours to remove: it may stay
    });
  }
}

/** What the probes of {@link placeVault} are called. */
export const probeName = 'trainguard-probe';

/** Tries whether a rename reaches from a folder into the vault. @throws the system's error if it does not */
export async function probe(dir: string, vault: string): Promise<void> {
  // a temporary file by its name: what a killed process leaves is swept
  const name = `.${probeName}.${process.pid}.${randomBytes(4).readUInt32LE()}.tmp`;
  const from = path.join(dir, name);
  const to = path.join(vault, name);
  await (await files.open(from, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600)).close();
  try {
    await files.rename(from, to);
  } catch (error) {
    await files.unlink(from);
    throw error;
  }
  await files.unlink(to);
}

/** What statfs calls an overlay: the file system of a container. */
const overlayType = 0x794c7630;

/** What a rename answers that will be refused tomorrow as well. */
const lasting: ReadonlySet<string> = new Set(['EXDEV', 'EBUSY', 'EACCES', 'EPERM', 'EROFS']);

/**
 * Why an entry cannot be renamed into the vault though a new file of ours can: it is a mount point, it is another user's
 * in a sticky folder, it is a folder that we may not write to, or one of a lower layer of an overlay without
 * `redirect_dir`. A rollback that found out half-way could go neither on nor back. Asked by a rename onto the vault,
 * which no system does, as the vault is not empty.
 */
export async function whyImmovable(entry: string, vault: string): Promise<string | undefined> {
  try {
    await files.rename(entry, vault);
    return undefined;
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    if (!lasting.has(code)) return undefined;
    if (code === 'EBUSY') return `${entry} is a mount point, which cannot be moved`;
    if (code !== 'EXDEV' || (await fs.statfs(entry)).type !== overlayType)
      return `${entry} cannot be moved: ${errorText(error)}`;
  }
  return `${entry} lies in a lower layer of an overlay, out of which no folder can be moved; mount a volume over the parent of the checkpoint folder, or put a copy in its place ("cp -a", then "mv")`;
}

/** The probe is repeated after a reboot, or when either folder is another one: mounts may have changed. */
async function identity(dir: string, vault: string): Promise<string> {
  const [one, two] = await Promise.all([fs.stat(dir), fs.stat(vault)]);
  return [bootId(), one.dev, one.ino, two.dev, two.ino].join(' ');
}

async function readProof(vault: string): Promise<unknown> {
  try {
    return (JSON.parse(await fs.readFile(path.join(vault, 'vault.json'), 'utf8')) as { proven?: unknown })
      .proven;
  } catch (error) {
    // never probed, or a torn record of it: probe
    if (isGone(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function isFolder(folder: string): Promise<boolean> {
  try {
    return (await fs.stat(folder)).isDirectory();
  } catch (error) {
    if (isGone(error) || errorCode(error) === 'EACCES') return false;
    throw error;
  }
}
