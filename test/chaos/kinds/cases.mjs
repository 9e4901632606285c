// One row for each kind of failure, with a real cause where a machine without a GPU has one, else with the documented text.

/** Python that prints documented text as its last words and ends as the program of that text does. */
const says = (text, status = 1) =>
  `import sys\nsys.stderr.write(${JSON.stringify(`${text}\n`)})\nsys.stderr.flush()\nimport os\nos._exit(${status})`;
/** Python that raises an exception of a library that is not there, under its own name. */
const raises = (module, name, message) =>
  `E = type(${JSON.stringify(name)}, (RuntimeError,), {"__module__": ${JSON.stringify(module)}})\nraise E(${JSON.stringify(message)})`;

const oom =
  'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.01 GiB is free.';
const misfit =
  'Error(s) in loading state_dict for Net:\n\tsize mismatch for fc.weight: copying a param with shape torch.Size([10, 16]) from checkpoint, the shape in current model is torch.Size([10, 32]).';

/**
 * `kinds`: of the failures, in order. `outcome`: how the run ends. `lost`: steps done twice. `source`: real, or the
 * document that the text is from. `act`: what is done to the run from outside, see kinds.mjs. `slow`: only with --slow.
 */
export const cases = [
  { title: 'ends by itself', kinds: [], outcome: 'completed', source: 'real' },
  {
    title: 'no such program',
    command: ['sh', '-c', 'no-such-program-here'],
    kinds: ['command'],
    outcome: 'failed',
    source: 'real',
  },
  {
    title: 'an argument it does not take',
    args: ['--no-such-flag'],
    kinds: ['config'],
    outcome: 'failed',
    source: 'real',
  },
  {
    title: 'an import that fails',
    code: 'import no_such_module',
    at: 'start',
    kinds: ['code'],
    outcome: 'failed',
    source: 'real',
  },
  {
    ...{ title: 'the same import, once it has worked (NFS away)', act: 'nfs', kinds: ['code', 'code'] },
    ...{ outcome: 'completed', source: 'real', atLeast: true },
  },
  {
    title: 'the same for two minutes, under the default backoff and budget',
    act: 'nfs',
    awayMs: 120_000,
    slow: true,
    kinds: ['code', 'code'],
    outcome: 'completed',
    source: 'real',
    atLeast: true,
  },
  {
    ...{
      title: 'a model that no longer fits its checkpoint',
      act: 'edit',
      edit: `raise RuntimeError(${JSON.stringify(misfit)})`,
    },
    ...{ kinds: ['exception', 'code'], outcome: 'failed', source: 'PyTorch’s text; real in docs/frameworks' },
  },
  {
    title: 'an exception, once',
    code: '{}["lr"]',
    kinds: ['exception'],
    outcome: 'completed',
    source: 'real',
  },
  {
    ...{ title: 'the same exception at the same step each time', code: '[][45]', attempts: '*' },
    ...{ kinds: ['exception', 'exception', 'exception'], outcome: 'failed', source: 'real' },
  },
  {
    ...{
      title: 'a device-side assert',
      code: raises('torch', 'AcceleratorError', 'CUDA error: device-side assert triggered'),
    },
    ...{ kinds: ['exception'], outcome: 'completed', source: 'PyTorch documentation' },
  },
  { title: 'NaN', fault: 'nan@step=45', kinds: ['numeric'], outcome: 'completed', source: 'real' },
  {
    ...{
      title: 'NaN two steps after every resume from one checkpoint',
      fault: 'crash@step=45;nan:40@step=42,attempt=*',
    },
    ...{ kinds: ['exception', 'numeric'], outcome: 'completed', source: 'real' },
  },
  {
    ...{ title: 'CUDA out of memory, once', code: raises('torch', 'OutOfMemoryError', oom) },
    ...{ kinds: ['gpu-memory'], outcome: 'completed', source: 'PyTorch documentation' },
  },
  {
    ...{
      title: 'CUDA out of memory at the same step again',
      code: raises('torch', 'OutOfMemoryError', oom),
      attempts: '*',
    },
    ...{ kinds: ['gpu-memory', 'gpu-memory'], outcome: 'failed', source: 'PyTorch documentation' },
  },
  {
    ...{
      title: 'more memory than its limit (ulimit -v)',
      kinds: ['host-memory'],
      outcome: 'completed',
      source: 'real',
    },
    code: 'import resource\nresource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\nbytearray(1 << 30)',
  },
  {
    title: 'the out-of-memory killer of a cgroup',
    act: 'cgroup',
    kinds: ['host-memory'],
    outcome: 'completed',
    source: 'real',
  },
  {
    ...{
      title: 'an uncorrectable ECC error',
      kinds: ['gpu'],
      outcome: 'completed',
      source: 'PyTorch, CUDA documentation',
    },
    code: raises('torch', 'AcceleratorError', 'CUDA error: uncorrectable ECC error encountered'),
  },
  {
    ...{ title: 'connection refused', kinds: ['network'], outcome: 'completed', source: 'real' },
    code: 'import socket\ns = socket.socket()\ns.bind(("127.0.0.1", 0))\nsocket.create_connection(s.getsockname())',
  },
  {
    ...{ title: 'address in use', kinds: ['network'], outcome: 'completed', source: 'real' },
    code: 'import socket\ns = socket.create_server(("127.0.0.1", 0))\nsocket.create_server(s.getsockname(), reuse_port=False)',
  },
  {
    ...{
      title: 'NCCL watchdog timeout',
      kinds: ['network'],
      outcome: 'completed',
      source: 'PyTorch documentation',
    },
    code: says(
      '[rank0]:[E1122 09:00:00.000000000 ProcessGroupNCCL.cpp:632] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=8, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600009 milliseconds before timing out.',
      134,
    ),
  },
  {
    ...{ title: 'a full disk', kinds: ['storage'], outcome: 'completed', source: 'real' },
    code: 'open("/dev/full", "w").write("x" * 100000)',
  },
  { title: 'a torn save', fault: 'torn@step=45', kinds: ['killed'], outcome: 'completed', source: 'real' },
  {
    title: 'rot that only its loader stumbles on',
    act: 'rot',
    kinds: ['killed', 'checkpoint'],
    outcome: 'completed',
    source: 'real',
  },
  {
    ...{ title: 'begins anew instead of resuming', fault: 'crash@step=45', args: ['--resume', 'never'] },
    ...{ kinds: ['exception', 'not-resumed'], outcome: 'failed', source: 'real' },
  },
  { title: 'a hang', fault: 'hang@step=45', kinds: ['hang'], outcome: 'completed', source: 'real' },
  { title: 'SIGTERM on a Slurm node', act: 'preempt', kinds: [], outcome: 'preempted', source: 'real' },
  { title: 'Ctrl-C', act: 'interrupt', kinds: [], outcome: 'stopped', source: 'real' },
  {
    title: 'SIGKILL from outside',
    fault: 'kill@step=45',
    kinds: ['killed'],
    outcome: 'completed',
    source: 'real',
  },
  {
    ...{ title: 'a segmentation fault', code: 'import ctypes\nctypes.string_at(0)', kinds: ['killed'] },
    ...{ outcome: 'completed', source: 'real' },
  },
  {
    title: 'exit status 7 without a word',
    fault: 'exit:7@step=45',
    kinds: ['unknown'],
    outcome: 'completed',
    source: 'real',
  },
];
