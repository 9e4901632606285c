import net from 'node:net';
import os from 'node:os';
import type { FailureRecord } from '../../policy/state.js';
import { errorCode } from '../../util/os/durable.js';
import { listenerOf, processWords } from './holder.js';
import type { Lack } from './lack.js';

type Variables = Readonly<Record<string, string | undefined>>;

/** The port at which the workers of a training find each other. */
export interface MeetingPort {
  readonly port: number;
  /** `MASTER_PORT`, `--master_port of the command`, `the port in its log`. */
  readonly from: string;
  /** We may choose another: it stands in the environment, and no other host has to know it. */
  readonly ours: boolean;
}

/** Whether a failure is a port that somebody else listens on. */
export const isAddressInUse = ({ reason, evidence }: Pick<FailureRecord, 'reason' | 'evidence'>): boolean =>
  [reason, ...evidence.map(({ text }) => text)].some((text) =>
    /address already in use|EADDRINUSE/i.test(text),
  );

/** Where the workers meet on this host; the command's own word goes before the environment's. Pure. */
export function meetingPort(
  argv: readonly string[],
  env: Variables,
  failure: Pick<FailureRecord, 'reason' | 'evidence'>,
  isLocal: (host: string) => boolean = isThisHost,
): MeetingPort | undefined {
  const said = portOfArguments(argv, isLocal);
  if (said) return { ...said, ours: false };
  if (isPort(env['MASTER_PORT']) && isLocal(env['MASTER_ADDR'] ?? 'localhost')) {
    const nodes = ['NNODES', 'PET_NNODES', 'SLURM_JOB_NUM_NODES', 'SLURM_NNODES'].map(
      (name) => env[name] ?? '1',
    );
    return {
      port: Number(env['MASTER_PORT']),
      from: 'MASTER_PORT',
      ours: nodes.every((count) => count === '1'),
    };
  }
  const texts = [failure.reason, ...failure.evidence.map(({ text }) => text)];
  const found = portForms.flatMap((form) => texts.map((text) => form.exec(text)?.[1])).find(isPort);
  return found === undefined ? undefined : { port: Number(found), from: 'the port in its log', ours: false };
}

/** How a log names a port, the surest first. */
const portForms: readonly RegExp[] = [
  /\]:(\d{2,5})\b/, // torch: "… failed to bind to [::]:29500 (errno: 98 …)"
  /\bport:? (\d{2,5})\b/i, // "port: 29500, useIpv6: 0"
  /\('[^']*', (\d{2,5})\)/, // Python: "address ('0.0.0.0', 8265)"
  /(?<!\.[a-z]\w{0,3})(?<=\w):(\d{4,5})\b/i, // "localhost:29500", but not "train.py:1240"
];

/** The flags of torchrun, deepspeed and accelerate that name it. */
const portFlag = /^--(?:master[_-]port|main[_-]process[_-]port|rdzv[_-]endpoint)$/;

function portOfArguments(
  argv: readonly string[],
  isLocal: (host: string) => boolean,
): Pick<MeetingPort, 'port' | 'from'> | undefined {
  for (const [index, word] of argv.entries()) {
    const [flag = '', value = argv[index + 1] ?? ''] = word.split('=', 2);
    if (!portFlag.test(flag)) continue;
    const at = value.lastIndexOf(':');
    const [host, port] = at < 0 ? ['localhost', value] : [value.slice(0, at), value.slice(at + 1)];
    if (isPort(port) && isLocal(host)) return { port: Number(port), from: `${flag} of the command` };
  }
  return undefined;
}

/** 0 lets the system choose: nobody can be in its way. */
const isPort = (text: string | undefined): boolean =>
  text !== undefined && /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536;

function isThisHost(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (/^(?:|localhost|127(?:\.\d+){3}|::1?|0\.0\.0\.0)$/.test(name)) return true;
  const own = os.hostname().toLowerCase();
  if (name === own || name === own.split('.')[0]) return true;
  return Object.values(os.networkInterfaces()).some((all) => all?.some(({ address }) => address === name));
}

/** What is to be done about a port before a retry. */
export type PortAnswer =
  | { readonly type: 'free' }
  | { readonly type: 'moved'; readonly to: number; readonly words: string }
  | { readonly type: 'held'; readonly lack: Lack };

/** Looks whether a port can be listened on; where it is ours to choose, finds another. */
export async function checkPort({ port, from, ours }: MeetingPort): Promise<PortAnswer> {
  if ((await listen(port)) !== undefined) return { type: 'free' };
  const pid = listenerOf(port);
  const holder = pid === undefined ? 'a process that is not shown to us' : processWords(pid);
  const other = ours ? await listen(0) : undefined;
  if (other !== undefined) {
    const words = `port ${port} (${from}) is held by ${holder}; the next attempt gets MASTER_PORT=${other}`;
    return { type: 'moved', to: other, words };
  }
  return {
    type: 'held',
    lack: { about: `port ${port} ${pid ?? ''}`, words: `port ${port} (${from}), which is held by ${holder}` },
  };
}

/** @returns the port that could be listened on for an instant; undefined: somebody else listens there */
async function listen(port: number): Promise<number | undefined> {
  for (const host of ['::', '0.0.0.0']) {
    const server = net.createServer();
    try {
      const bound = await new Promise<number>((resolve, reject) => {
        server
          .once('error', reject)
          .listen({ port, host }, () => resolve((server.address() as net.AddressInfo).port));
      });
      await new Promise((resolve) => server.close(resolve));
      return bound;
    } catch (error) {
      if (errorCode(error) === 'EADDRINUSE') return undefined;
      if (errorCode(error) === undefined) throw error;
      // no IPv6 here; or a port that only root may have, of which nothing is known
    }
  }
  return port;
}
