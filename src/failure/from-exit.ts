import { formatBytes, plural } from '../util/text.js';
import { faultWords, type FaultWords } from './fault.js';
import { digestOf, placeInWords, placeOf } from './fingerprint.js';
import { type LogLines, lastLine, shortened } from './log-lines.js';
import { matchKernel } from './match.js';
import { type Death, deathOf } from './signals.js';
import type { Evidence, Exit, Failure, HostFacts } from './types.js';

/** What the exit alone says, where the logs explain nothing. */
export function fromExit(exit: Exit, host: HostFacts, logs: readonly LogLines[]): Failure {
  const death = deathOf(exit);
  return death ? fromDeath(death, host, logs) : fromStatus(exit, host, logs);
}

/** The command never became a process. */
export function notStarted({ code, message }: Extract<Exit, { type: 'not-started' }>): Failure {
  return {
    kind: 'command',
    fingerprint: `not-started:${code}`,
    reason: `the command could not be started: ${message}`,
    evidence: [{ text: message, source: code }],
    confidence: 1,
  };
}

/** 126 or 127, as a shell says that there is nothing to run. */
export function cannotRun(code: number, logs: readonly LogLines[]): Failure {
  const evidence = lastLine(logs);
  const what = code === 127 ? 'the command was not found' : 'the command could not be executed';
  return {
    kind: 'command',
    fingerprint: `exit:${code}`,
    reason: `${what} (exit status ${code})${evidence ? `: ${shortened(evidence.text)}` : ''}`,
    advice: code === 127 ? 'look at its name and at PATH' : 'look at its permissions and its first line',
    evidence: evidence ? [evidence] : [],
    confidence: 0.9,
  };
}

function fromDeath(death: Death, host: HostFacts, logs: readonly LogLines[]): Failure {
  const { signal, reportedAs } = death;
  const said = reportedAs === undefined ? '' : ` (exit status ${reportedAs})`;
  if (signal === 'SIGINT') {
    const reason = `the training was interrupted by SIGINT${said}`;
    return { kind: 'stopped', reason, evidence: [], confidence: 0.8 };
  }
  if (signal === 'SIGKILL') {
    const ranOut = memoryRanOut(host, reportedAs);
    if (ranOut) return ranOut;
  }
  const words = death.fault ? faultWords(logs) : {};
  const shown = [words.said, words.frameEvidence].flatMap((one) => one ?? []);
  const last = shown.length > 0 ? undefined : lastLine(logs);
  const meaning = words.said ? shortened(words.said.text) : death.meaning;
  const where = words.frame ? ` (${placeInWords(words.frame)})` : '';
  return {
    kind: 'killed',
    ...(death.fault && { fingerprint: faultFingerprint(signal, words) }),
    reason: `the process was ended by ${signal}${said}: ${meaning}${where}`,
    evidence: [...shown, ...(last ? [last] : []), ...spaceEvidence(host)],
    confidence: reportedAs === undefined ? 0.9 : 0.7,
  };
}

function faultFingerprint(signal: string, { said, frame }: FaultWords): string {
  const where = frame ? `@${placeOf(frame)}` : '';
  return `signal:${signal}${where}${said ? `#${digestOf(said.text)}` : ''}`;
}

/** 247 is what Python passes on when a process it started was killed: nearly always memory, if nobody knows better. */
const killedChild = 247;

/** SIGKILL, where the kernel says, or the exit status leaves to guess, that memory ran out. */
function memoryRanOut(host: HostFacts, reportedAs: number | undefined): Failure | undefined {
  const { oomKills } = host;
  const counted = oomKills !== undefined && oomKills > 0;
  const named = matchKernel(host).find(({ signature }) => signature.kind === 'host-memory');
  const guessed = reportedAs === killedChild && oomKills === undefined;
  if (!counted && !named && !guessed) return undefined;
  const said = reportedAs === undefined ? '' : ` (exit status ${reportedAs})`;
  const certain = counted || named !== undefined;
  const count = counted ? ` (oom_kill 0 → ${oomKills})` : '';
  return {
    kind: 'host-memory',
    fingerprint: 'memory-killer',
    reason: certain
      ? `the kernel killed the process${said} because memory ran out${count}${memoryInWords(host)}`
      : `a process of the training was killed${said}, as a rule because the machine ran out of memory`,
    advice: 'fewer data-loader workers, a smaller batch, or a higher memory limit',
    ...(named && { signature: named.signature.id }),
    evidence: [
      ...(counted
        ? [{ text: `the out-of-memory killer struck ${plural(oomKills, 'time')} here`, source: 'oom_kill' }]
        : []),
      ...(named ? [named.evidence] : []),
    ],
    confidence: certain ? 0.95 : 0.5,
  };
}

const memoryInWords = ({ memory }: HostFacts): string =>
  memory ? `; ${formatBytes(memory.usedBytes)} of ${formatBytes(memory.limitBytes)} were in use` : '';

function fromStatus(exit: Exit, host: HostFacts, logs: readonly LogLines[]): Failure {
  const evidence = lastLine(logs);
  const all = [...(evidence ? [evidence] : []), ...spaceEvidence(host)];
  if (exit.type !== 'code') {
    const gone = 'the process is gone and left no exit status: exit status unknown';
    return {
      kind: 'killed',
      reason: host.rebooted ? 'the host was restarted under it' : gone,
      evidence: all,
      confidence: host.rebooted ? 0.9 : 0.5,
    };
  }
  const full = Object.entries(host.freeBytes ?? {}).find(([, bytes]) => bytes < noSpace);
  if (full) {
    return {
      kind: 'storage',
      fingerprint: 'storage:full',
      reason: `the command ended with exit status ${exit.code} and could not say why: the disk of ${full[0]} is full`,
      advice: 'free some space there',
      evidence: all,
      confidence: 0.6,
    };
  }
  const last = evidence ? `; the last line says: ${shortened(evidence.text)}` : ' and without a word';
  return {
    kind: 'unknown',
    reason: `the command ended with exit status ${exit.code}${last}`,
    evidence: all,
    confidence: 0.3,
  };
}

/** With less than this not even a traceback can be written, bytes. */
const noSpace = 64 * 1024;
/** Free space under this is worth a word beside a death that nothing explains, bytes. */
const littleSpace = 64 * 1024 * 1024;

const spaceEvidence = ({ freeBytes = {} }: HostFacts): Evidence[] =>
  Object.entries(freeBytes)
    .filter(([, bytes]) => bytes < littleSpace)
    .map(([path, bytes]) => ({ text: `only ${formatBytes(bytes)} free`, source: path }));
