import path from 'node:path';
import { JsonCheckpoints } from '../recovery/json-checkpoints.js';
import { RecoveryManager } from '../recovery/manager.js';
import type { Beat, WorkerLimits } from '../recovery/types.js';
import { refused } from '../runs/problems.js';
import { writeVersioned } from '../runs/versioned-file.js';
import { readLimits } from '../util/os/limits.js';
import { makeDirs } from '../util/os/make-dirs.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { version } from '../util/version.js';
import { createApp } from './app.js';
import { bugReport } from './bug-report.js';
import { makeCheckpointFolder } from './checkpoint-folder.js';
import { connectionLimits } from './connections.js';
import { mayPass } from './may-pass.js';
import type { OptionNames } from './option-names.js';
import { seldom } from './seldom.js';
import { protection, watchExpiry } from './protection.js';
import type { RunningServer, ServerOptions } from './server.js';
import { type ServerRecord, startOnFreePort } from './server-record.js';
import { type TlsFiles, vouchesForItself } from './tls.js';
import { readOrMakeToken } from './token.js';
import { openWorkerJournal, type WorkerJournal } from './worker-journal.js';
import { openOrRenewWorkerJournal } from './worker-journal-renew.js';

export interface ServiceOptions extends WorkerLimits {
  /** Where it keeps its token, its journal and, unless said otherwise, checkpoints. The caller holds its lock. */
  readonly dir: string;
  /** 127.0.0.1 unless given. */
  readonly host?: string;
  /** 0: any that is free. Not given: that of the service's last life, `usualPort`, or any that is free. */
  readonly port?: number;
  /** Where `port` is taken, another will do. */
  readonly anyPort?: boolean;
  /** 8471 unless given. */
  readonly usualPort?: number;
  /** The path that is meant where the workers' address has more before it, or why they are not answered. */
  readonly scope?: ServerOptions['scope'];
  /** What an Idempotency-Key is known within: the same key in another is another request. */
  readonly era?: () => string;
  readonly allowHosts?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  /** Lets other machines in without TLS. */
  readonly insecure?: boolean;
  readonly tokenFile?: string;
  readonly checkpointDir?: string;
  readonly keepCheckpoints?: number;
  readonly maxCheckpointBytes?: number;
  /** Of workers at the same time. */
  readonly maxConnections?: number;
  /** What was known of the workers is moved aside where it is damaged, and begins anew. */
  readonly renewDamaged?: boolean;
  /** Every heartbeat of a worker that is registered. */
  readonly onBeat?: (workerId: string, beat: Beat) => void;
  /** Another judges the training: nobody is told to stop for failing too often. */
  readonly patient?: boolean;
  /** Those of the command line unless given. */
  readonly names?: OptionNames;
  /** Told in one sentence each what is wrong and does not end the service. */
  readonly notice: (text: string) => void;
}

/** A manager that workers reach over HTTP. */
export interface Service {
  readonly url: string;
  readonly port: number;
  readonly tokenFile: string;
  /** The certificate's file, absolute, where workers are to trust it by its own word: nobody they know vouches for it. */
  readonly caFile?: string;
  readonly manager: RecoveryManager;
  /** `scope` refuses others from now on: who is being answered and is one of them is cut off, half an upload too. */
  rescope(): void;
  /** Takes no more requests, lets those under way end (10 s at most), writes what is left to write. */
  close(): Promise<void>;
}

const usualCheckpointBytes = 16 * 1024 * 1024;
/** Of any other body, as the app has it. */
const jsonBytes = 1024 * 1024;

/**
 * Opens everything that a service consists of, or says in one sentence why not, and leaves nothing open then. What an
 * earlier life of it knew is there again, and each worker gets a whole timeout from now on.
 * @returns exit 75 where the port is taken or the disk full, 78 for what is wrong with the options or the folder, 125 for damage
 */
export const openService = async (options: ServiceOptions): Promise<Result<Service>> =>
  mayPass(await open(options));

async function open(options: ServiceOptions): Promise<Result<Service>> {
  const tls = await protection(options);
  if (!tls.ok) return tls;
  const { dir, tokenFile = path.join(dir, 'token') } = options;
  try {
    await makeDirs(dir, 0o700);
  } catch (error) {
    return refused(`make the folder ${dir}`, error);
  }
  const { checkpointDir = path.join(dir, 'checkpoints') } = options;
  const folder = await makeCheckpointFolder(checkpointDir, options.names);
  if (!folder.ok) return folder;
  const token = await readOrMakeToken(tokenFile, options.names);
  if (!token.ok) return token;
  const openJournal = options.renewDamaged ? openOrRenewWorkerJournal : openWorkerJournal;
  const journal = await openJournal(dir, { onNotice: options.notice });
  if (!journal.ok) return journal;
  const opened = openManager({ ...options, checkpointDir }, journal.value);
  if (!opened.ok) {
    await journal.value.close();
    return opened;
  }
  const manager = opened.value;
  const record = path.join(dir, 'server.json');
  const close = async (): Promise<void> => {
    await manager.close();
    await journal.value.close();
  };
  const server = await serve(options, {
    manager,
    journal: journal.value,
    token: token.value,
    record,
    tls: tls.value,
  });
  if (!server.ok) {
    await close();
    return server;
  }
  const stopWatch = watchExpiry(tls.value, options);
  const { url, port } = server.value;
  const { tlsCert } = options;
  const ca = tls.value && tlsCert !== undefined && vouchesForItself(tls.value.cert);
  const trust = ca === true ? { caFile: path.resolve(tlsCert) } : {};
  const found: ServerRecord = { url, port, ...trust, pid: process.pid, startedAt: Date.now() };
  const written = await writeVersioned(record, found);
  // who knows the address needs no file
  if (!written.ok) options.notice(written.error.message);
  return ok({
    url,
    port,
    tokenFile,
    ...trust,
    manager,
    rescope: () => server.value.rescope(),
    async close() {
      stopWatch();
      await server.value.close();
      await close();
    },
  });
}

/** @returns exit 78 for an option that the manager does not take */
function openManager(
  options: ServiceOptions & { readonly checkpointDir: string },
  journal: WorkerJournal,
): Result<RecoveryManager> {
  const {
    checkpointDir,
    heartbeatInterval,
    heartbeatTimeout,
    maxFailures,
    keepCheckpoints = 3,
    patient = false,
    notice,
  } = options;
  const checkpoints = new JsonCheckpoints({
    dir: checkpointDir,
    keep: keepCheckpoints,
    onNotice: notice,
  });
  const limits = {
    ...(heartbeatInterval !== undefined && { heartbeatInterval }),
    ...(heartbeatTimeout !== undefined && { heartbeatTimeout }),
    ...(maxFailures !== undefined && { maxFailures }),
  };
  try {
    const { remembered } = journal;
    const manager = new RecoveryManager(limits, { log: journal, remembered, checkpoints, patient });
    manager.on('problem', (error) => notice(`the watch over the workers met a problem: ${error.message}`));
    return ok(manager);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError)
      return fail(error.message, exitStatus.config);
    throw error;
  }
}

async function serve(
  options: ServiceOptions,
  parts: {
    manager: RecoveryManager;
    journal: WorkerJournal;
    token: string;
    record: string;
    tls: TlsFiles | undefined;
  },
): Promise<Result<RunningServer>> {
  const { notice, maxCheckpointBytes = usualCheckpointBytes, onBeat, era } = options;
  const tellSeldom = seldom(notice);
  const tellBug = (error: unknown, request: string): void => {
    const { kind, text } = bugReport(error, request);
    tellSeldom(kind, text);
  };
  const app = createApp({
    manager: parts.manager,
    journal: parts.journal,
    version,
    limits: { checkpointBytes: maxCheckpointBytes, bodyBytes: jsonBytes },
    onBug: tellBug,
    ...(onBeat && { onBeat }),
    ...(era && { era }),
  });
  const openFiles = Number(readLimits().find(({ name }) => name === 'Max open files')?.hard);
  const limits = connectionLimits(options.maxConnections, Number.isNaN(openFiles) ? undefined : openFiles);
  if (limits.words !== undefined) notice(limits.words);
  const server = await startOnFreePort(options, parts.record, {
    fetch: (request, connection) => app.fetch(request, connection),
    endStreams: () => app.endStreams(),
    token: parts.token,
    ...(options.scope && { scope: options.scope }),
    host: options.host ?? '127.0.0.1',
    allowHosts: options.allowHosts ?? [],
    ...(parts.tls && { tls: parts.tls }),
    connections: limits,
    maxBodyBytes: Math.max(maxCheckpointBytes, jsonBytes),
    ...(options.names && { names: options.names }),
    onTrouble: notice,
    onBug: (error) => tellBug(error, 'a request'),
  });
  if (!server.ok) app.endStreams();
  return server;
}
