import type { Signature } from './signature.js';

const freeSpace = 'free some space';

/** Disks and file servers. */
export const storage: readonly Signature[] = [
  {
    id: 'disk-full',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 28\]|\bNo space left on device\b|\bStorageFull\b/,
    inCause: true,
    explanation: 'the disk is full',
    advice: freeSpace,
    sample: 'storage-disk-full',
  },
  {
    id: 'quota-exceeded',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 122\]|\bDisk quota exceeded\b/,
    inCause: true,
    explanation: 'the disk quota is used up',
    advice: freeSpace,
    sample: 'storage-quota-exceeded',
  },
  {
    id: 'input-output-error',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 5\] |\bfailed with Input\/output error\b/,
    inCause: true,
    explanation: 'the storage failed to read or write',
    advice: 'look at the system log (dmesg) and at the file server',
    sample: 'storage-input-output-error',
  },
  {
    id: 'stale-file-handle',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 116\]|\bStale file handle\b/,
    inCause: true,
    explanation: 'the file server lost track of an open file',
    sample: 'storage-stale-file-handle',
  },
  {
    id: 'read-only',
    kind: 'storage',
    where: 'exception',
    pattern: /\[Errno 30\]|\bRead-only file system\b/,
    inCause: true,
    explanation: 'the file system takes no writes',
    advice:
      'a file system that turned read-only by itself has found an error: look at the system log (dmesg)',
    sample: 'storage-read-only',
  },
  {
    id: 'torch-writer',
    kind: 'storage',
    where: 'exception',
    pattern:
      /\bPytorchStreamWriter failed writing file\b|\binline_container\.cc:\d{1,6}\] \. unexpected pos\b/,
    inCause: true,
    explanation: 'torch.save could not write its file, as a rule because the disk is full',
    advice: 'look at the free space and the quota of the checkpoint folder',
    sample: 'storage-torch-writer',
  },
  {
    id: 'numpy-writer',
    kind: 'storage',
    where: 'exception',
    pattern: /^OSError: \d{1,20} requested and \d{1,20} written$/,
    inCause: true,
    explanation: 'numpy could not write its file, as a rule because the disk is full',
    advice: 'look at the free space and the quota of the checkpoint folder',
    sample: 'storage-numpy',
  },
  {
    id: 'disk-full-said',
    kind: 'storage',
    where: 'line',
    pattern: /: (?:No space left on device|Disk quota exceeded)$/,
    explanation: 'the disk is full',
    advice: freeSpace,
    sample: 'storage-disk-full-shell',
  },
  {
    id: 'disk-fails',
    kind: 'storage',
    where: 'kernel',
    pattern:
      /\bI\/O error\b|\bcritical (?:medium|target) error\b|\bEXT4-fs error\b|\bXFS \([^)]{1,80}\): [^\n]{0,200}(?:[Cc]orruption|[Ss]hutdown)|\bnfs: server \S{1,200} not responding\b/,
    explanation: 'the kernel reports a disk or file server that fails',
    advice: 'look at the system log (dmesg) and at the file server',
    sample: 'storage-kernel-log',
  },
];
