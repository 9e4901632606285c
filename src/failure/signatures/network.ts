import type { Signature } from './signature.js';

const lookAtPeers =
  'look at the logs of the other ranks: one that died or fell behind makes the rest wait in vain';
/** Pipes between the processes of one training look like connections. */
const ownProcesses = /\/multiprocessing\//;

/** What stands between ranks, and between the training and the rest of the world. */
export const network: readonly Signature[] = [
  {
    id: 'collective-timeout-nccl',
    kind: 'network',
    where: 'line',
    pattern: /\bWatchdog caught collective operation timeout: WorkNCCL\(/,
    within: 1000,
    explanation: 'the ranks waited for one of them until the time was over',
    advice: lookAtPeers,
    sample: 'network-nccl-watchdog',
  },
  {
    id: 'collective-timeout-raised',
    kind: 'network',
    where: 'exception',
    pattern:
      /\bWatchdog caught collective operation timeout\b|\bTimed out waiting \d{1,12}ms for (?:recv|send) operation to complete\b|\bgloo\b[^\n]{0,200}\bTimed out waiting\b|\bApplication timeout caused pair closure\b|\bmonitoredBarrier\b[^\n]{0,200}\btimed? ?out\b/,
    explanation: 'the ranks waited for one of them until the time was over',
    advice: lookAtPeers,
    sample: 'network-gloo-timeout',
  },
  {
    id: 'rank-connection-lost',
    kind: 'network',
    where: 'exception',
    pattern:
      /\bgloo\b[^\n]{0,200}\bConnection (?:closed by|reset by|refused)\b|\bGloo connectFullMesh failed\b|\bremote process exited or there was a network error\b|\bncclRemoteError\b|\bDistNetworkError: failed to recv, got 0 bytes\b/,
    explanation: 'the connection to another rank was lost',
    advice: lookAtPeers,
    sample: 'network-peer-gone',
  },
  {
    id: 'nccl-system-error',
    kind: 'network',
    where: 'exception',
    pattern: /\bNCCL error\b[^]{0,400}\bunhandled system error\b|\bncclSystemError\b/,
    explanation: 'NCCL could not reach the other ranks',
    advice:
      'NCCL_DEBUG=INFO says which interface and which peer; look at NCCL_SOCKET_IFNAME and at the fabric',
    sample: 'network-nccl-system',
  },
  {
    id: 'address-in-use',
    kind: 'network',
    where: 'exception',
    pattern: /\[Errno 98\]|\bEADDRINUSE\b|\bAddress already in use\b/,
    inCause: true,
    explanation: 'the port is taken',
    advice: 'another training, or what an earlier attempt left, listens there; MASTER_PORT names the port',
    sample: 'network-address-in-use',
  },
  {
    id: 'store-timeout',
    kind: 'network',
    where: 'exception',
    pattern:
      /^torch\.distributed\.DistStoreError: [Tt]imed out\b|^torch\.distributed\.elastic\.rendezvous\.api\.Rendezvous(?:Timeout|Connection)Error\b|\bThe client socket has timed out after \d{1,12}ms while trying to connect\b|\bwait timeout after \d{1,12}ms, keys:/,
    explanation: 'the ranks did not find each other in time',
    advice:
      'look whether every rank started, and whether MASTER_ADDR and MASTER_PORT can be reached from all hosts',
    sample: 'network-store-timeout',
  },
  {
    id: 'name-resolution',
    kind: 'network',
    where: 'exception',
    pattern: /\bTemporary failure in name resolution\b|\bNameResolutionError\b/,
    inCause: true,
    explanation: 'names cannot be resolved',
    advice: 'look at the DNS servers of the host (/etc/resolv.conf)',
    sample: 'network-dns',
  },
  {
    id: 'connection-lost',
    kind: 'network',
    where: 'exception',
    pattern: /^Connection(?:Reset|Refused|Aborted)Error\b|\[Errno (?:101|104|110|111|113)\] /,
    notIn: ownProcesses,
    inCause: true,
    explanation: 'a connection was refused or broke off',
    sample: 'network-reset',
  },
  {
    id: 'hub-unreachable',
    kind: 'network',
    where: 'exception',
    pattern: /^huggingface_hub\.\S{0,60}LocalEntryNotFoundError\b|^OSError: We couldn't connect to '/,
    inCause: true,
    explanation: 'the Hugging Face hub could not be reached',
    advice: 'HF_HUB_OFFLINE=1 works from what is already downloaded',
    sample: 'network-hub',
  },
  {
    id: 'http-failed',
    kind: 'network',
    where: 'exception',
    pattern:
      /^requests\.exceptions\.(?:ConnectionError|ReadTimeout|ConnectTimeout|Timeout|ChunkedEncodingError)\b|^urllib3\.exceptions\.(?:MaxRetryError|NewConnectionError|ReadTimeoutError|ConnectTimeoutError|ProtocolError|IncompleteRead)\b|^http(?:x2?|core2?)\.(?:Connect|Read|Write|Pool)(?:Error|Timeout)\b|^http(?:x2?|core2?)\.RemoteProtocolError\b|^aiohttp\.client_exceptions\.(?:ClientConnector\w{0,20}Error|ServerDisconnectedError|ServerTimeoutError|ClientPayloadError)\b|^botocore\.exceptions\.(?:EndpointConnectionError|ConnectTimeoutError|ReadTimeoutError|ConnectionClosedError)\b|^urllib\.error\.HTTPError: HTTP Error (?:429|500|502|503|504)\b|^http\.client\.(?:RemoteDisconnected|IncompleteRead)\b|HTTPError: (?:(?:500|502|503|504) Server|429 Client) Error\b/,
    inCause: true,
    explanation: 'a server could not be reached, or broke off',
    sample: 'network-http-unavailable',
  },
  {
    id: 'socket-timeout',
    kind: 'network',
    where: 'exception',
    pattern: /^(?:TimeoutError|socket\.timeout): (?:The read operation )?timed out$/,
    in: /\/(?:socket|ssl|urllib\/request|http\/client)\.py in /,
    inCause: true,
    explanation: 'a server did not answer in time',
    sample: 'network-http-timeout',
  },
];
