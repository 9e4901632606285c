import { constants, lstatSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';

/** A configuration file's text, and under which keys our settings stand in it. */
export interface ConfigSource {
  /** Absolute. */
  readonly file: string;
  readonly format: 'json' | 'yaml' | 'toml';
  readonly text: string;
  readonly section: readonly string[];
}

/** Where from, and on whose behalf, a configuration is looked for. */
export interface Seeker {
  readonly cwd: string;
  /** `--config`. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Our user id; the process's unless given. */
  readonly uid?: number;
}

interface Place {
  readonly name: string;
  readonly format: ConfigSource['format'];
  readonly section: readonly string[];
}

const places: readonly Place[] = [
  { name: 'recovery.config.json', format: 'json', section: [] },
  { name: 'recovery.config.yaml', format: 'yaml', section: [] },
  { name: 'recovery.config.yml', format: 'yaml', section: [] },
  { name: 'recovery.config.toml', format: 'toml', section: [] },
  // YAML takes JSON too
  { name: '.trainguardrc', format: 'yaml', section: [] },
  { name: 'package.json', format: 'json', section: ['trainguard'] },
  { name: 'pyproject.toml', format: 'toml', section: ['tool', 'trainguard'] },
];

/** What marks the root of a project: nothing above it is looked at. */
const boundaries = ['.git', 'package.json', 'pyproject.toml'];

const largestBytes = 1024 * 1024;

/**
 * Finds and reads the configuration: the file named by flag or TRAINGUARD_CONFIG, else the nearest one from the working
 * directory upwards to the project's root or the home folder. Fails if it is another user's, too large or unreadable.
 */
export async function locateConfig(seeker: Seeker): Promise<Result<ConfigSource | undefined>> {
  const named = seeker.file ?? (isInWorker(seeker.env) ? undefined : seeker.env['TRAINGUARD_CONFIG']);
  if (named !== undefined && named !== '') return readNamed(path.resolve(seeker.cwd, named), seeker);
  const home = path.resolve(seeker.env['HOME'] ?? os.homedir());
  for (let dir = path.resolve(seeker.cwd); ; dir = path.dirname(dir)) {
    for (const place of places) {
      if (!mayBeThere(path.join(dir, place.name))) continue;
      const found = await readPlace(path.join(dir, place.name), place, seeker);
      if (!found.ok || found.value) return found;
    }
    if (dir === home || dir === path.dirname(dir) || isBoundary(dir)) return ok(undefined);
  }
}

/** Inside a worker the environment configures nothing: it is the outer run's. */
export const isInWorker = (env: Seeker['env']): boolean => env['TRAINGUARD_RUN_ID'] !== undefined;

async function readNamed(file: string, seeker: Seeker): Promise<Result<ConfigSource>> {
  const place = places.find(({ name }) => name === path.basename(file));
  const format = formatOf(file);
  const read = await readOwn(file, seeker);
  if (!read.ok) return read;
  if (read.value === undefined) {
    return fail(
      `The configuration file ${file} does not exist; name another with --config.`,
      exitStatus.config,
    );
  }
  return ok({ file, format, text: read.value, section: place?.section ?? [] });
}

function formatOf(file: string): ConfigSource['format'] {
  const extension = path.extname(file);
  return extension === '.json' ? 'json' : extension === '.toml' ? 'toml' : 'yaml';
}

async function readPlace(
  file: string,
  place: Place,
  seeker: Seeker,
): Promise<Result<ConfigSource | undefined>> {
  const { format, section } = place;
  if (section.length > 0 && !(await mentionsUs(file))) return ok(undefined);
  const read = await readOwn(file, seeker);
  if (!read.ok) return read;
  return ok(read.value === undefined ? undefined : { file, format, text: read.value, section });
}

/** Whether a file that belongs to other tools says anything of ours; if not it is none of our business. */
async function mentionsUs(file: string): Promise<boolean> {
  try {
    const text = await fs.readFile(file, 'utf8');
    return file.endsWith('.toml')
      ? /^\s*\[\s*tool\s*\.\s*"?trainguard\b/m.test(text)
      : /"trainguard"\s*:/.test(text);
  } catch {
    // not there, or not for us to read
    return false;
  }
}

/** @returns the text, or undefined if there is no such file */
async function readOwn(file: string, seeker: Seeker): Promise<Result<string | undefined>> {
  let handle: fs.FileHandle;
  try {
    // non-blocking: a named pipe of that name must not hold us up
    handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return ok(undefined);
    return fail(
      `The configuration file ${file} cannot be read: ${errorText(error)}.`,
      exitStatus.config,
      code,
    );
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) return fail(`The configuration ${file} is not a file.`, exitStatus.config);
    if (stat.size > largestBytes) {
      return fail(
        `The configuration file ${file} is larger than 1 MiB; is it the right one?`,
        exitStatus.config,
      );
    }
    const uid = seeker.uid ?? process.getuid?.();
    if (uid !== undefined && stat.uid !== uid && stat.uid !== 0) {
      return fail(
        `The configuration file ${file} belongs to another user (uid ${stat.uid}) and is not trusted; ` +
          'make it yours (chown), or name one of your own with --config.',
        exitStatus.config,
      );
    }
    return ok((await handle.readFile('utf8')).replace(/^\uFEFF/, ''));
  } finally {
    await handle.close();
  }
}

const isBoundary = (dir: string): boolean => boundaries.some((name) => mayBeThere(path.join(dir, name)));

/** Asked at once: the dozens of looks on the way up would take longer as promises than all else that `status` does. */
function mayBeThere(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // opening it will say what is wrong
    return true;
  }
}
