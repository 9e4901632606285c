import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { flagNames, type OptionNames } from './option-names.js';

/** Connections that may wait to be taken: as many as Linux allows by itself, for when all workers come back at once. */
const backlog = 4096;

/** @returns the port; or in one sentence why not: exit 75 where another has it, 78 where it can never be */
export async function listen(
  server: Server,
  host: string,
  port: number,
  names: OptionNames = flagNames,
): Promise<Result<number>> {
  try {
    return await new Promise((resolve, reject) => {
      server.once('error', reject).listen({ host, port, backlog }, () => {
        server.off('error', reject);
        resolve(ok((server.address() as AddressInfo).port));
      });
    });
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || code.startsWith('ERR_')) throw error;
    return cannotListen(host, port, names, code, errorText(error));
  }
}

function cannotListen(
  host: string,
  port: number,
  names: OptionNames,
  code: string,
  text: string,
): Result<never> {
  switch (code) {
    case 'EADDRINUSE':
      return fail(
        `port ${port} of ${host} is taken by another program; end that, or choose another ${names.port} (0: any that is free)`,
        exitStatus.busy,
        code,
      );
    case 'EACCES':
      return fail(
        `port ${port} may not be listened on by this user; choose a ${names.port} above 1023`,
        exitStatus.config,
        code,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return fail(
        `${names.host} ${host} is no address of this machine (${code}); give one of its own, or 0.0.0.0 for all`,
        exitStatus.config,
        code,
      );
    default:
      return fail(`cannot listen on port ${port} of ${host}: ${text}`, exitStatus.config, code);
  }
}
