import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { concerns, kernelLinesOf, parseKmsg } from '../../../src/engines/local/host-kernel.js';
import { findMemoryCgroup, hostMemory, readMemory } from '../../../src/engines/local/host-memory.js';
import { mono } from '../../../src/util/os/boot.js';
import { eventually } from '../../support/eventually.js';
import { launch, tempDir, until } from './support.js';

const v1 = '36 25 0:31 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory';
const v1Container = '36 25 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory';
const cpu = '35 25 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu';
const v2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';
const all = (): boolean => true;

test('the memory cgroup is found in cgroup v1, v2, both, and containers', () => {
  const found = (...args: Parameters<typeof findMemoryCgroup>): unknown => {
    const { version, dir } = findMemoryCgroup(...args) ?? {};
    return dir === undefined ? undefined : [version, dir];
  };
  assert.deepEqual(found('4:memory:/job/7\n0::/', [cpu, v1].join('\n'), all), [
    1,
    '/sys/fs/cgroup/memory/job/7',
  ]);
  assert.deepEqual(found('0::/user.slice/x', v2, all), [2, '/sys/fs/cgroup/user.slice/x']);
  assert.equal(found('0::/user.slice/x', [cpu, v1].join('\n'), all), undefined);
  assert.deepEqual(found('4:cpu,memory:/docker/abc', v1Container, all), [1, '/sys/fs/cgroup/memory']);
  // a container that does not see its own name
  const only = (file: string): boolean => file === '/sys/fs/cgroup/memory.events';
  assert.deepEqual(found('0::/docker/abc', v2, only), [2, '/sys/fs/cgroup']);
  assert.equal(
    found('0::/', v2, () => false),
    undefined,
  );
  assert.equal(found('', '', all), undefined);
});

test('memory: the limit that is nearest counts, without cached files', (t) => {
  const mount = tempDir(t);
  const dir = path.join(mount, 'slice/job');
  mkdirSync(dir, { recursive: true });
  const write = (where: string, files: Record<string, string>): void => {
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(where, name), `${text}\n`);
  };
  write(dir, { 'memory.current': '900', 'memory.max': 'max', 'memory.stat': 'anon 100\ninactive_file 100' });
  write(path.join(mount, 'slice'), {
    ...{ 'memory.current': '3000', 'memory.max': '4000', 'memory.stat': 'anon 100\ninactive_file 500' },
  });
  assert.deepEqual(readMemory({ version: 2, dir, mount }), { usedBytes: 2500, limitBytes: 4000 });
  write(dir, {
    ...{ 'memory.usage_in_bytes': '900', 'memory.limit_in_bytes': '1000' },
    'memory.stat': 'inactive_file 3\ntotal_inactive_file 100',
  });
  write(path.join(mount, 'slice'), {
    ...{ 'memory.usage_in_bytes': '3000', 'memory.limit_in_bytes': '9223372036854771712' },
  });
  assert.deepEqual(readMemory({ version: 1, dir, mount }), { usedBytes: 800, limitBytes: 1000 });
  assert.deepEqual(hostMemory('MemTotal:  10 kB\nMemFree:  1 kB\nMemAvailable:  4 kB\n'), {
    ...{ usedBytes: 6 * 1024, limitBytes: 10 * 1024 },
  });
  assert.equal(hostMemory('MemTotal:  10 kB\n'), undefined);
});

/** As Linux 6 prints them; Xid lines as NVIDIA's manual has them. */
const ofOurs = [
  'oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=python3,pid=13241,uid=0',
  'Memory cgroup out of memory: Killed process 13241 (python3) total-vm:221384kB, anon-rss:50944kB, file-rss:6644kB',
  'Out of memory: Killed process 13241 (python) total-vm:221384kB, anon-rss:50944kB',
  'NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.',
  'NVRM: Xid (PCI:0000:3b:00): 31, pid=13241, name=python, Ch 00000008, intr 10000000. MMU Fault',
  'NVRM: Xid (PCI:0000:3b:00): 31, pid=77, name=python: one that nobody can see from here',
  'I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2',
  'Buffer I/O error on dev nvme0n1p1, logical block 1, async page read',
  'EXT4-fs error (device sda1): ext4_find_entry:1683: inode #2: comm python: reading directory lblock 0',
  'nfs: server filer not responding, still trying',
  'nvme nvme0: I/O 12 QID 1 timeout, aborting',
];
const ofOthers = [
  'Out of memory: Killed process 99 (chrome) total-vm:221384kB',
  'oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=chrome,pid=99,uid=0',
  'NVRM: Xid (PCI:0000:3b:00): 31, pid=99, name=other, MMU Fault',
  'I/O error, dev sr0, sector 0 op 0x0:(READ)',
  'nfs: server filer OK',
  'python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0',
  'usb 1-1: new high-speed USB device number 2 using xhci_hcd',
];

test('of the kernel’s log only what concerns the attempt is told', () => {
  const question = { pids: new Set([13_241]), isStranger: (pid: number) => pid === 99 };
  for (const line of ofOurs) assert.ok(concerns(line, question), line);
  for (const line of ofOthers) assert.ok(!concerns(line, question), line);
  assert.deepEqual(parseKmsg('4,1234,36000918312,-;Out of memory: Killed process 1 (a)\n SUBSYSTEM=pci\n'), {
    ...{ mono: 36_000_918.312, text: 'Out of memory: Killed process 1 (a)' },
  });
  assert.equal(parseKmsg(''), undefined);
});

test('a kernel’s log that cannot be read is unknown', async () => {
  const question = { sinceMono: 0, pids: new Set<number>(), isStranger: () => true };
  assert.equal(await kernelLinesOf(question, '/dev/there-is-none'), undefined);
  const real = await kernelLinesOf(question);
  assert.ok(real === undefined || real.every((line) => !line.includes('Killed process')));
});

test('a real memory kill: counted, named by the kernel, and how full it was', async (t) => {
  const parent = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'].find((dir) => existsSync(`${dir}/cgroup.procs`));
  const group = `${parent ?? ''}/trainguard-test-${process.pid}`;
  const limit = parent?.endsWith('/memory') ? 'memory.limit_in_bytes' : 'memory.max';
  try {
    mkdirSync(group);
    t.after(async () => {
      await until('the cgroup is empty', () => readFileSync(`${group}/cgroup.procs`, 'utf8') === '');
      rmdirSync(group);
    });
    writeFileSync(`${group}/${limit}`, String(64 * 1024 * 1024));
  } catch {
    t.skip('no memory cgroup can be made here (needs root)');
    return;
  }
  // what is looked at after a second is looked at soon, and often
  const after = (delayMs: number, callback: () => void): (() => void) => {
    const soon = setTimeout(callback, delayMs >= 1000 ? 20 : delayMs);
    return () => clearTimeout(soon);
  };
  const script = `echo $$ >${group}/cgroup.procs && echo on; read go <&3; exec python3 -c 'bytearray(512 << 20)'`;
  const { worker, said, cwd } = await launch(t, ['sh', '-c', `mkfifo go; exec 3<>go; ${script}`], {
    engine: { clock: { now: () => Date.now(), mono, after } },
  });
  await said(/^on/);
  await eventually(
    async () => (await worker.hostFacts()).memory?.limitBytes === 64 * 1024 * 1024,
    'a look at it in its new cgroup',
    30_000,
  );
  writeFileSync(path.join(cwd, 'go'), 'go\n');
  assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGKILL', number: 9 });
  const { oomKills, memory, kernel } = await worker.hostFacts();
  assert.equal(oomKills, 1);
  assert.equal(memory?.limitBytes, 64 * 1024 * 1024);
  assert.ok(memory.usedBytes > 0.9 * memory.limitBytes, `${memory.usedBytes} bytes`);
  if (kernel === undefined) t.diagnostic('the kernel’s log may not be read here');
  else assert.match(kernel.join('\n'), new RegExp(`Killed process ${worker.pid} \\(`));
});
