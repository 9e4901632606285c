import type { Signature } from './signature.js';

const indexBug =
  'mostly an index out of range, such as a label or a token that the model has no row for; CUDA_LAUNCH_BLOCKING=1 names the place';
const lookAtIt = 'look at `nvidia-smi -q` and `dmesg`; a reset or a restart of the machine may be needed';

/** GPUs that fail (kind gpu), and programs that misuse them (kind exception). */
export const gpu: readonly Signature[] = [
  {
    id: 'gpu-memory-error',
    kind: 'gpu',
    where: 'exception',
    pattern: /\buncorrectable (?:ECC|NVLink) error\b|\bcudaErrorECCUncorrectable\b/,
    inCause: true,
    explanation: 'the memory of a GPU, or a link to it, is faulty',
    advice: lookAtIt,
    sample: 'gpu-uncorrectable-memory',
  },
  {
    id: 'gpu-lost',
    kind: 'gpu',
    where: 'exception',
    pattern:
      /\bfallen off the bus\b|\bGPU is lost\b|\bCUDA-capable device\(s\) is\/are busy or unavailable\b/,
    inCause: true,
    explanation: 'a GPU does not answer',
    advice: lookAtIt,
    sample: 'gpu-lost',
  },
  {
    id: 'gpu-lost-said',
    kind: 'gpu',
    where: 'line',
    pattern: /\bfallen off the bus\b|\bUnable to determine the device handle for GPU[^\n]{0,80}\bis lost\b/,
    explanation: 'a GPU does not answer',
    advice: lookAtIt,
    sample: 'gpu-lost-said',
  },
  {
    id: 'gpu-none',
    kind: 'gpu',
    where: 'exception',
    pattern:
      /\bno CUDA-capable device is detected\b|\bNo CUDA GPUs are available\b|\bNo HIP GPUs are available\b|\bFound no NVIDIA driver on your system\b|\bCUDA driver initialization failed, you might not have a CUDA gpu\b|\bCUDA error: system not yet initialized\b|\bUnexpected error from cudaGetDeviceCount\(\)/,
    inCause: true,
    explanation: 'no GPU can be used',
    advice: 'look at `nvidia-smi`, the driver and CUDA_VISIBLE_DEVICES',
    sample: 'gpu-none',
  },
  {
    id: 'device-assert',
    kind: 'exception',
    where: 'exception',
    pattern: /\bdevice-side assert triggered\b/,
    inCause: true,
    explanation: 'a check on the GPU failed',
    advice: indexBug,
    sample: 'exception-device-assert',
  },
  {
    id: 'illegal-memory-access',
    kind: 'exception',
    where: 'exception',
    pattern: /\b(?:an )?illegal memory access was encountered\b|\bCUDA_ERROR_ILLEGAL_ADDRESS\b/,
    inCause: true,
    explanation: 'a kernel on the GPU touched memory that is not its own',
    advice: indexBug,
    sample: 'exception-illegal-access',
  },
  {
    id: 'launch-failure',
    kind: 'exception',
    where: 'exception',
    pattern: /\bCUDA error: unspecified launch failure\b|\bCUDA_ERROR_LAUNCH_FAILED\b/,
    inCause: true,
    explanation: 'a kernel on the GPU died',
    advice: indexBug,
    sample: 'exception-launch-failure',
  },
  {
    id: 'gpu-library',
    kind: 'exception',
    where: 'exception',
    pattern: /\bCU(?:BLAS|DNN|SOLVER|FFT)_STATUS_(?!ALLOC_FAILED\b|SUCCESS\b)[A-Z_]{3,40}\b/,
    inCause: true,
    explanation: 'a library of the GPU gave up',
    advice: `${indexBug}; little free GPU memory does it too`,
    sample: 'exception-gpu-library',
  },
  {
    id: 'gpu-native',
    kind: 'exception',
    where: 'line',
    pattern:
      /^ {0,8}what\(\): {1,8}CUDA error: (?:device-side assert triggered|an illegal memory access was encountered|unspecified launch failure)/,
    explanation: 'a kernel on the GPU died',
    advice: indexBug,
    sample: 'exception-gpu-native',
  },
  {
    id: 'xid-gpu',
    kind: 'gpu',
    where: 'kernel',
    pattern: /\bNVRM: Xid \([^)]{1,80}\): {0,4}(?:48|63|64|74|79|94|95)\b/,
    explanation: 'the kernel reports a faulty GPU',
    advice: lookAtIt,
    sample: 'gpu-xid',
  },
  {
    id: 'xid-program',
    kind: 'exception',
    where: 'kernel',
    pattern: /\bNVRM: Xid \([^)]{1,80}\): {0,4}(?:13|31|43|45)\b/,
    explanation: 'the kernel reports a program that misused the GPU',
    advice: indexBug,
    sample: 'exception-xid-silent',
  },
];
