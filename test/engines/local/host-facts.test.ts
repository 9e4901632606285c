import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findOomFile } from '../../../src/engines/local/host-facts.js';

const v1 = '36 25 0:31 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory';
const v1Container = '36 25 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory';
const cpu = '35 25 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu';
const v2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';
const all = (): boolean => true;

test('the counter of the memory killer is found in cgroup v1, v2, both, and containers', () => {
  assert.equal(
    findOomFile('4:memory:/job/7\n0::/', [cpu, v1].join('\n'), all),
    '/sys/fs/cgroup/memory/job/7/memory.oom_control',
  );
  assert.equal(findOomFile('0::/user.slice/x', v2, all), '/sys/fs/cgroup/user.slice/x/memory.events');
  assert.equal(findOomFile('0::/user.slice/x', [cpu, v1].join('\n'), all), undefined);
  assert.equal(
    findOomFile('4:cpu,memory:/docker/abc', v1Container, all),
    '/sys/fs/cgroup/memory/memory.oom_control',
  );
  assert.equal(
    findOomFile('0::/', v2, () => false),
    undefined,
  );
  assert.equal(findOomFile('', '', all), undefined);
});
