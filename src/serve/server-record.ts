import { readVersioned } from '../runs/versioned-file.js';
import type { Result } from '../util/result.js';
import { type RunningServer, type ServerOptions, startServer } from './server.js';

/** `server.json`: where the service is found as long as that process lives, and is found again. */
export interface ServerRecord {
  readonly url: string;
  readonly port: number;
  /** What workers are given as TRAINGUARD_CA. */
  readonly caFile?: string;
  readonly pid: number;
  /** Ms since 1970. */
  readonly startedAt: number;
}

/** Which port is wanted, as the options of a service have it. */
interface PortWish {
  readonly port?: number;
  readonly anyPort?: boolean;
  readonly usualPort?: number;
  readonly notice: (text: string) => void;
}

/** Workers that live know the port of our last life, so that one is tried first. */
export async function startOnFreePort(
  { port, anyPort, usualPort = 8471, notice }: PortWish,
  record: string,
  options: Omit<ServerOptions, 'port'>,
): Promise<Result<RunningServer>> {
  if (port !== undefined && !anyPort) return startServer({ ...options, port });
  const earlier = await readVersioned<ServerRecord>(record, 'delete it');
  const known = earlier.ok ? earlier.value?.port : undefined;
  const remembered =
    Number.isInteger(known) && Number(known) > 0 && Number(known) < 65_536 ? Number(known) : usualPort;
  for (const wanted of new Set([port ?? 0, remembered])) {
    if (wanted === 0) continue;
    const server = await startServer({ ...options, port: wanted });
    if (server.ok || server.error.code !== 'EADDRINUSE') return server;
    notice(
      `port ${wanted} of ${options.host} is taken by another program, so another is used; workers that know it find the new one in ${record}`,
    );
  }
  return startServer({ ...options, port: 0 });
}
