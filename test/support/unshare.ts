import { spawnSync } from 'node:child_process';

/** Why a test that needs namespaces of its own is skipped; false: they may be made. Takes flags of unshare(1). */
export function cannotUnshare(...flags: readonly string[]): string | false {
  const { status, error, stderr } = spawnSync('unshare', [...flags, 'true'], { encoding: 'utf8' });
  if (status === 0) return false;
  return `unshare ${flags.join(' ')}: ${error?.message ?? stderr.trim()}`;
}
