import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { parseGpus } from '../../src/commands/doctor-engines.js';
import { nameOfMount } from '../../src/commands/doctor-folders.js';
import { inScratch } from '../../src/commands/doctor-scratch.js';
import { type Check, doctorStatus, doctorText, fails, fine, warn } from '../../src/report/doctor-check.js';
import { judgeResume, judgeVault, type ResumeFacts } from '../../src/report/doctor-checkpoints.js';
import { type CommandFacts, judgeCommand } from '../../src/report/doctor-command.js';
import { type EngineFacts, judgeEngines } from '../../src/report/doctor-engines.js';
import { type FolderFacts, judgeFolder } from '../../src/report/doctor-folders.js';
import { judgeMachine, type MachineFacts } from '../../src/report/doctor-machine.js';
import { judgeTrial, type TrialFacts } from '../../src/report/doctor-trial.js';
import { runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';

const gibibyte = 1024 ** 3;
const told = (checks: readonly Check[]): string =>
  checks.map(({ level, about, text, way }) => `${level} ${about}: ${text} → ${way ?? ''}`).join('\n');

/** Each change of what is in order, and the line that must come of it. */
function table<Facts extends object>(
  judge: (facts: Facts) => readonly Check[],
  inOrder: Facts,
  cases: readonly (readonly [Partial<Facts>, RegExp])[],
): void {
  const good = judge(inOrder);
  assert.ok(
    good.every(({ level }) => level === 'ok'),
    told(good),
  );
  for (const [change, line] of cases) assert.match(told(judge({ ...inOrder, ...change })), line);
}

test('the machine', () => {
  const limit = (name: string, soft: string) => [{ name, soft, hard: 'unlimited' }];
  const inOrder: MachineFacts = {
    ...{ platform: 'linux', release: '6.1', arch: 'x64', node: '20.19.0', cpus: 8, memoryBytes: 64 * gibibyte },
    ...{ now: Date.UTC(2026, 0, 1), bootIdKnown: true, isRoot: false, limits: [], shmBytes: 16 * gibibyte },
    ...{ oomCounter: '/sys/fs/cgroup/memory.events', kernelLogReadable: true, pySpy: '/usr/bin/py-spy' },
    session: 'tmux',
  }; // prettier-ignore
  table(judgeMachine, inOrder, [
    [{ platform: 'win32' }, /^fail platform: .*Windows.* → .*WSL$/],
    [{ platform: 'darwin' }, /^warn platform: macOS/],
    [{ node: '20.18.9' }, /^fail node: Node 20\.18\.9 is older than 20\.19/m],
    [{ node: '18.20.0' }, /^fail node/m],
    [{ node: '24.0.0' }, /^ok node/m],
    [{ now: 0 }, /^warn clock: the clock says 1970/m],
    [{ bootIdKnown: false }, /^warn clock: the id of this boot/m],
    [{ limits: limit('Max open files', '1024') }, /^warn limits: max open files: 1024 .*→ ulimit -n 4096/m],
    [{ limits: limit('Max open files', 'unlimited') }, /^ok limits/m],
    [{ limits: limit('Max file size', '1000') }, /^warn limits: max file size.*→ ulimit -f unlimited/m],
    [{ limits: limit('Max core file size', 'unlimited'), corePattern: 'core' }, /^warn limits: a crash writes .*\(core in the working directory\) → ulimit -c 0/m],
    [{ limits: limit('Max core file size', 'unlimited'), corePattern: '|/usr/lib/systemd/systemd-coredump' }, /^ok limits/m],
    [{ shmBytes: 64 * 1024 ** 2 }, /^warn shared memory: \/dev\/shm holds 64\.0 MiB.*--shm-size/m],
    [{ logind: { killsUserProcesses: true, lingers: false } }, /^warn session: .*KillUserProcesses=yes.*→ loginctl enable-linger/m],
    [{ logind: { killsUserProcesses: true, lingers: true } }, /^ok session/m],
    [{ logind: { killsUserProcesses: false } }, /^ok session/m],
    [{ kernelLogReadable: false }, /^warn kernel log/m],
    [{ ptraceScope: 1 }, /^warn stacks: .*ptrace_scope 1.*→ .*faulthandler\.enable\(\) in the script$/m],
    [{ ptraceScope: 1, isRoot: true }, /^ok stacks/m],
  ]); // prettier-ignore
});

test('the command', () => {
  const inOrder: CommandFacts = {
    argv: ['python', 'train.py'],
    program: { file: '/usr/bin/python' },
    script: { file: 'train.py', found: true, certain: true },
  };
  const argv = (...words: readonly string[]): Partial<CommandFacts> => ({ argv: words });
  table(judgeCommand, inOrder, [
    [{ program: { problem: 'command not found: python' }, instead: 'python3' }, /^fail command: .* → python3 is there/],
    [{ script: { file: 'train.py', found: false, certain: true } }, /^fail script: there is no train\.py/m],
    [{ script: { file: 'x.py', found: false, certain: false } }, /^warn script/m],
    [{ pythonUnbuffered: '' }, /^warn output: PYTHONUNBUFFERED is set to nothing/m],
    [{ pythonUnbuffered: '1' }, /^ok output: unbuffered →/m],
    [argv('conda', 'run', '-n', 'a', 'python', 't.py'), /^warn output: conda run holds all output back.*→ conda run --no-capture-output/m],
    [argv('conda', 'run', '--no-capture-output', 'python', 't.py'), /^ok output/m],
    [argv('python', '-I', 't.py'), /^warn output: python -I passes over PYTHONUNBUFFERED/m],
    [argv('python', '-uI', 't.py'), /^ok output/m],
    [argv('env', '-i', 'python', 't.py'), /^warn output: the environment is cleared/m],
    [argv('bash', '-c', 'python t.py 2>&1 | tee log'), /^warn output: the command is a pipe/m],
    [argv('bash', '-c', 'set -o pipefail; python t.py | tee log'), /^ok output/m],
    [argv('bash', '-c', 'false || python t.py'), /^ok output/m],
    [argv('sh', '-c', 'python t.py &'), /^warn output: .*into the background/m],
    [argv('docker', 'run', 'image', 'python', 't.py'), /^warn wrapper: docker .*→ put trainguard into the container/m],
    [argv('sudo', 'python', 't.py'), /^warn wrapper: sudo clears/m],
    [argv('ssh', 'node1', 'python', 't.py'), /^warn wrapper: ssh/m],
  ]); // prettier-ignore
});

test('a folder', () => {
  const inOrder: FolderFacts = {
    ...{ what: 'checkpoint folder', dir: '/data/ckpts', there: '/data/ckpts', freeBytes: 100 * gibibyte },
    ...{ freeInodes: 1e6, fileSystem: { name: 'ext4', kind: 'local' }, punchesHoles: true },
  };
  const judge = (facts: FolderFacts): readonly Check[] => judgeFolder(facts, 2 * gibibyte);
  assert.match(told(judge(inOrder)), /100\.0 GiB free on ext4, room for 50 more checkpoints of 2\.0 GiB/);
  table(judge, inOrder, [
    [{ there: '/data' }, /^ok .*\/data\/ckpts, to be made/],
    [{ problem: 'no permission' }, /^fail .*cannot be written \(no permission\) → make \/data\/ckpts writable/],
    [{ problem: 'no space is left' }, /^fail .*no space is left.* → free some space/],
    [{ freeBytes: gibibyte }, /^fail .*the next save would fail/],
    [{ freeBytes: 5 * gibibyte }, /^warn .*room for 2 more checkpoints/],
    [{ freeInodes: 0 }, /^fail .*no inode left/],
    [{ freeInodes: 10 }, /^warn .*10 inodes are left/],
    [{ overQuota: 'disk quota exceeded on /data' }, /^warn .*over a quota/],
    [{ fileSystem: { name: 'tmpfs', kind: 'memory' } }, /^warn .*lies in memory \(tmpfs\)/m],
    [{ fileSystem: { name: 'nfs4', kind: 'network' } }, /^ok .*network file system \(nfs4\)/m],
    [{ punchesHoles: false }, /^warn .*no holes can be punched/m],
  ]); // prettier-ignore
});

test('the vault, and how the command is told to resume', () => {
  const vault = { dir: '/data/out', vault: '/data/.out.trainguard', named: false, mayLieInside: false };
  const problem = 'it is on another file system';
  assert.equal(judgeVault(vault).level, 'ok');
  assert.match(
    told([judgeVault({ ...vault, problem })]),
    /^fail vault: .*another file system → .*--vault DIR/,
  );
  assert.match(told([judgeVault({ ...vault, problem, mayLieInside: true })]), /^warn vault: .*inside the checkpoint folder/); // prettier-ignore
  assert.equal(judgeVault({ ...vault, problem, mayLieInside: true, named: true }).level, 'fail');

  const flag = { flag: '--resume', file: 'train.py', line: 7, takesValue: true };
  const script = { file: 'train.py', flags: [] };
  const framework = { title: 'Hugging Face Trainer', advice: 'pass it on', args: ['--resume_from_checkpoint', '{path}'] }; // prettier-ignore
  const inOrder: ResumeFacts = { argv: ['python', 'train.py'], recipe: '--resume {path}' };
  const none = { recipe: undefined as never };
  table((facts: ResumeFacts) => [judgeResume(facts)], inOrder, [
    [{ ...none, idle: 'the preset adds nothing' }, /^warn resume: the preset adds nothing/],
    [{ ...none, script: { ...script, variable: { file: 'train.py', line: 3 } } }, /^ok resume: line 3 of train\.py/],
    [{ ...none, script: { ...script, flags: [flag] } }, /^warn .*only if told \(--resume, line 7.*→ --resume-args '--resume \{path\}'/],
    [{ ...none, argv: ['python', 'train.py', '--resume=a'], script: { ...script, flags: [flag] } }, /^warn .*itself says --resume/],
    [{ ...none, argv: ['python', 'train.py', '--resume'], script: { ...script, flags: [{ ...flag, takesValue: false }] } }, /^ok .*says --resume/],
    [{ ...none, script }, /^warn .*nothing in train\.py seems to load/],
    [{ ...none, framework }, /^warn .*→ --resume-args '--resume_from_checkpoint \{path\}'/],
    [{ ...none }, /^warn .*cannot be seen/],
  ]); // prettier-ignore
});

test('GPUs and engines', () => {
  const gpus = parseGpus('NVIDIA H100, 550.54, 81559, 4, 0\nNVIDIA H100, 550.54, 81559, 60000, 2\nNVIDIA A30, 550.54, [N/A], [N/A], [N/A]\n'); // prettier-ignore
  const words = told(judgeEngines({ gpus }));
  assert.match(words, /^ok gpu: 3 GPUs \(NVIDIA H100, NVIDIA A30\), driver 550\.54/m);
  assert.match(words, /^warn gpu: of GPU 1 58\.6 GiB of 79\.6 GiB are taken already/m);
  assert.match(words, /^warn gpu: GPU 1 counts 2 memory errors/m);
  assert.doesNotMatch(words, /GPU [02]/);
  assert.deepEqual(parseGpus('\n'), { type: 'none' });
  table<EngineFacts>(judgeEngines, { gpus: { type: 'none' } }, [
    [{ gpus: { type: 'no-tool' } }, /^warn gpu: .*no nvidia-smi/m],
    [{ gpus: { type: 'fails', why: 'Driver/library version mismatch', devices: true } }, /^fail gpu: .*mismatch → reboot/m],
    [{ gpus: { type: 'fails', why: 'no driver', devices: false } }, /^warn gpu/m],
    [{ slurm: { missing: ['sacct'] } }, /^warn engine slurm: .*sacct not in PATH/m],
    [{ slurm: { version: 'slurm 23.11', missing: [], job: '7' } }, /^ok engine slurm: slurm 23\.11, inside job 7.*--signal=B:USR1@120/m],
    [{ ray: { hasToken: false } }, /^ok engine ray: ray: no address/m],
  ]); // prettier-ignore
});

test('a trial', () => {
  const inOrder: TrialFacts = {
    ...{ seconds: 12, formats: ['keras'], heartbeats: 9, firstStep: 1, lastStep: 9, reportsPhase: false },
    ...{ printed: 900, buffered: false, saved: ['step-5.pt'] },
  };
  table(judgeTrial, inOrder, [
    [{ ended: { well: false, kind: 'exception', reason: 'ValueError: x' } }, /^fail trial: .*exception: ValueError: x/],
    [{ ended: { well: true, kind: 'success', reason: '' } }, /^ok trial: it ended by itself/],
    [{ heartbeats: 0, printed: 0 }, /^warn progress: it printed nothing/m],
    [{ heartbeats: 0 }, /^warn progress: it printed no line that says how far it is/m],
    [{ firstStep: undefined as never }, /^warn progress: .*no step in it/m],
    [{ buffered: true }, /^warn trial: its output is held back/m],
    [{ saved: [] }, /^ok trial: it saved nothing/m],
    [{ killedAfterMs: 30_000 }, /^warn trial: it did not end within 30 s.*--stop-grace/m],
  ]); // prettier-ignore
});

test('what would fail is said again at the end; quiet says nothing of what is in order', () => {
  const checks = [
    fine('a', 'is there'),
    warn('bb', 'is odd', 'see\nthen do'),
    fails('c', 'is gone', 'bring it'),
  ];
  assert.equal(doctorStatus(checks), 1);
  assert.equal(doctorStatus(checks.slice(0, 2)), 0);
  assert.equal(
    doctorText(checks, true),
    [
      'warn  bb  is odd',
      '          → see',
      '          → then do',
      'fail  c   is gone',
      '          → bring it',
      '',
      '1 thing would fail (1 warning above):',
      'fail  c   is gone',
      '          → bring it',
      '',
    ].join('\n'),
  );
  assert.equal(doctorText([fine('a', 'is there')], true), 'nothing would fail\n');
});

test('a file system’s name is that of the mount it lies on', () => {
  const mountinfo = [
    '22 1 8:1 / / rw - ext4 /dev/sda1 rw',
    '30 22 0:26 / /data rw,nosuid shared:1 - nfs4 server:/data rw',
    '31 30 0:27 / /data/my\\040disk rw - xfs /dev/sdb rw',
  ].join('\n');
  assert.equal(nameOfMount(mountinfo, '/datasets'), 'ext4');
  assert.equal(nameOfMount(mountinfo, '/data/a'), 'nfs4');
  assert.equal(nameOfMount(mountinfo, '/data/my disk/b'), 'xfs');
  assert.equal(nameOfMount('', '/'), undefined);
});

const scratchModule = new URL('../../src/commands/doctor-scratch.js', import.meta.url).href;
/** Opens two scratch folders, says so, and stays in them. */
const staysInScratch = `
  const { inScratch } = await import(process.argv[1]);
  const inside = [];
  const stay = () => inScratch(process.argv[2], async (scratch) => {
    (await import('node:fs')).writeFileSync(scratch + '/probe', '');
    inside.push(scratch);
    if (inside.length === 2) console.log('in ' + scratch);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  });
  await Promise.all([stay(), stay()]);`;

test('a doctor that a signal ends leaves no scratch folder, and dies of that signal', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const dir = tempDir(t);
    const node = [process.execPath, '--input-type=module', '-e', staysInScratch, scratchModule, dir] as const;
    const doctor = runProgram(t, node);
    await doctor.untilStdout(/^in /);
    doctor.kill(signal);
    assert.equal((await doctor.done).signal, signal);
    assert.deepEqual(readdirSync(dir), []);
  }
});

test('what a killed doctor left the next one removes, and nothing that a living one or another host has', async (t) => {
  const dir = tempDir(t);
  const node = [process.execPath, '--input-type=module', '-e', staysInScratch, scratchModule, dir] as const;
  const killed = runProgram(t, node);
  const [, left = ''] = await killed.untilStdout(/^in (.+)\n/);
  killed.kill('SIGKILL');
  await killed.done;
  assert.ok(existsSync(path.join(left, 'probe')));
  const dead = killed.pid;
  const kept = [
    `.trainguard-doctor-${os.hostname()}-${process.pid}-00000000`,
    `.trainguard-doctor-elsewhere.${os.hostname()}-${dead}-00000000`,
    `.trainguard-doctor-${os.hostname()}-${dead}-mine`,
  ];
  for (const name of kept) mkdirSync(path.join(dir, name));
  assert.deepEqual(await inScratch(dir, () => Promise.resolve(7)), { ok: true, value: 7 });
  assert.deepEqual(readdirSync(dir).toSorted(), kept.toSorted());
});
