/**
 * Calls back when something changes at the top of the folder. chokidar is loaded at the first watch only. That the
 * folder goes away, or that no watch can be had (inotify's limits), is no failure: the regular scan is the truth.
 * @returns what ends the watch
 */
export function watchTop(
  dir: string,
  changed: () => void,
  notice: (text: string) => void,
): () => Promise<void> {
  let over = false;
  let told = false;
  const started = import('chokidar').then(({ watch }) => {
    if (over) return undefined;
    const watcher = watch(dir, {
      depth: 0,
      ignoreInitial: true,
      followSymlinks: false,
      ignorePermissionErrors: true,
    });
    watcher.on('all', () => {
      if (!over) changed();
    });
    watcher.on('error', (error) => {
      if (over || told) return;
      told = true;
      notice(`${dir} cannot be watched (${String(error)}): it is looked at regularly instead`);
    });
    return watcher;
  });
  started.catch((error: unknown) => {
    notice(`${dir} cannot be watched (${String(error)}): it is looked at regularly instead`);
  });
  return async () => {
    over = true;
    await (await started.catch(() => undefined))?.close();
  };
}
