import type { Signature } from './signature.js';

const smallerBatch = 'if it comes back at the same step, use a smaller batch or shorter sequences';
const lessMemory = 'fewer data-loader workers, a smaller batch, or a higher memory limit';
const sharedMemory =
  'give the container more of it (--shm-size, --ipc=host), or use fewer data-loader workers';

/** Memory: the GPU's, then the host's. A full /dev/shm speaks of a full device, so it stands before the disks. */
export const memory: readonly Signature[] = [
  {
    id: 'gpu-out-of-memory',
    kind: 'gpu-memory',
    where: 'exception',
    pattern:
      /^torch\.(?:cuda\.)?OutOfMemoryError\b|\b(?:CUDA|HIP)(?: error:)? out of memory\b|\bCUBLAS_STATUS_ALLOC_FAILED\b|\bCUDNN_STATUS_ALLOC_FAILED\b|\bRESOURCE_EXHAUSTED: Out of memory while trying to allocate\b|\bOOM when allocating tensor\b[^\n]{0,400}\bGPU:|\bCUDA_ERROR_OUT_OF_MEMORY\b/,
    inCause: true,
    explanation: 'the GPU ran out of memory',
    advice: smallerBatch,
    sample: 'gpu-memory-torch',
  },
  {
    id: 'gpu-out-of-memory-nccl',
    kind: 'gpu-memory',
    where: 'exception',
    pattern: /\bNCCL\b[^]{0,2000}\bCuda failure (?:\d{1,4} )?'out of memory'/,
    inCause: true,
    explanation: 'the GPU ran out of memory while the ranks were being connected',
    advice: 'look for another process on that GPU, or for two ranks that share one',
    sample: 'gpu-memory-nccl',
  },
  {
    id: 'gpu-out-of-memory-native',
    kind: 'gpu-memory',
    where: 'line',
    pattern: /^ {0,8}what\(\): {1,8}(?:CUDA|HIP)(?: error:)? out of memory\b/,
    explanation: 'the GPU ran out of memory',
    advice: smallerBatch,
    sample: 'gpu-memory-native',
  },
  {
    id: 'data-loader-killed',
    kind: 'host-memory',
    where: 'exception',
    pattern: /\bDataLoader worker \(pid[^)]{0,80}\) is killed by signal: Killed\b/,
    inCause: true,
    explanation: 'a data-loader process was killed, as a rule because the machine ran out of memory',
    advice: 'fewer data-loader workers or a smaller prefetch need less memory',
    sample: 'host-memory-data-loader',
  },
  {
    id: 'data-loader-bus-error',
    kind: 'host-memory',
    where: 'exception',
    pattern: /\bDataLoader worker \(pid[^)]{0,80}\) is killed by signal: Bus error\b/,
    inCause: true,
    explanation: 'a data-loader process found no shared memory: /dev/shm is full',
    advice: sharedMemory,
    sample: 'host-memory-bus-error',
  },
  {
    id: 'shared-memory-full',
    kind: 'host-memory',
    where: 'exception',
    pattern: /\bunable to (?:allocate|write to|resize) (?:shared memory\(shm\)|file <\/torch_)/,
    inCause: true,
    explanation: 'the shared memory (/dev/shm) is full',
    advice: sharedMemory,
    sample: 'host-memory-shared',
  },
  {
    id: 'data-loader-fault',
    kind: 'killed',
    where: 'exception',
    pattern:
      /\bDataLoader worker \(pid[^)]{0,80}\) is killed by signal: (?!Killed|Bus error|Terminated|Interrupt)/,
    inCause: true,
    explanation: 'a data-loader process died in native code',
    advice: 'look at what decodes the samples; num_workers=0 shows the place',
    sample: 'killed-data-loader-fault',
  },
  {
    id: 'python-memory',
    kind: 'host-memory',
    where: 'exception',
    pattern: /^MemoryError\b|^numpy\.[\w.]{1,60}\b_?ArrayMemoryError\b|\[Errno 12\] |\bstd::bad_alloc\b/,
    inCause: true,
    explanation: 'the host has no more memory to give',
    advice: lessMemory,
    sample: 'host-memory-error',
  },
  {
    id: 'cpu-allocator',
    kind: 'host-memory',
    where: 'exception',
    pattern:
      /\bDefaultCPUAllocator: (?:can't allocate memory|not enough memory)\b|\bunable to mmap \d{1,20} bytes\b[^\n]{0,400}\bCannot allocate memory\b|\bRESOURCE_EXHAUSTED: Out of memory allocating\b|\bOOM when allocating tensor\b[^\n]{0,400}\bCPU:/,
    inCause: true,
    explanation: 'the host has no more memory to give',
    advice: lessMemory,
    sample: 'host-memory-torch',
  },
  {
    id: 'native-memory',
    kind: 'host-memory',
    where: 'line',
    pattern: /^terminate called after throwing an instance of 'std::bad_alloc'/,
    explanation: 'the host has no more memory to give',
    advice: lessMemory,
    sample: 'host-memory-native',
  },
  {
    id: 'slurm-memory-kill',
    kind: 'host-memory',
    where: 'line',
    pattern:
      /^slurmstepd: error: .{0,80}\boom[-_ ]kill event|^srun: error: .{0,200}: Out Of Memory$/i,
    saysWhoKilled: 'likely',
    explanation: 'the job passed its memory limit in Slurm, and a process of it was killed',
    advice: 'ask for more memory (--mem, --mem-per-cpu), or use fewer data-loader workers or a smaller batch',
    sample: 'host-memory-slurm-step',
  },
  {
    id: 'kernel-memory-kill',
    kind: 'host-memory',
    where: 'kernel',
    pattern: /\b(?:Out of memory|Memory cgroup out of memory): Killed process \d|\boom-kill:/,
    explanation: 'the kernel killed the process because memory ran out',
    advice: lessMemory,
    sample: 'host-memory-kernel-log',
  },
];
