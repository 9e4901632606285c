import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from '../support/eventually.js';
import { processAlive, readStat } from '../support/process-alive.js';
import { root } from '../support/root.js';
import { runCli, runProgram, type Ended, type Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { cannotUnshare } from '../support/unshare.js';
import { eventsOf, type RunView } from './kit.js';

const trainguard = [process.execPath, path.join(root, 'bin', 'trainguard.js')] as const;

/** A training that says that it started, and then waits for a file, or for TERM. */
const waiting = (name = 'go'): readonly string[] => [
  ...['sh', '-c', 'echo $$ >> started; trap "exit 0" TERM; until [ -e "$1" ]; do sleep 0.02; done', 'sh'],
  name,
];

interface Options {
  readonly cwd: string;
  /** What stands before `node trainguard.js`: unshare and its flags. */
  readonly within?: readonly string[];
  readonly flags?: readonly string[];
  readonly command?: readonly string[];
}

const withinOr = (within: readonly string[] | undefined, argv: readonly string[]): [string, ...string[]] =>
  [...(within ?? []), ...argv] as [string, ...string[]];

/** `trainguard run` in a place of its own. */
function supervise(t: TestContext, { cwd, within, flags = [], command = waiting() }: Options): Running {
  const argv = [...trainguard, 'run', '--json', '--name', 'one', ...flags, '--', ...command];
  return runProgram(t, withinOr(within, argv), { cwd });
}

/** The same, once its state says that it is at work. */
async function superviseUntilRunning(t: TestContext, options: Options): Promise<Running> {
  const run = supervise(t, options);
  await run.untilStdout(/"type":"launched"/);
  const at = options.flags?.indexOf('--state-dir') ?? -1;
  const stateDir = path.resolve(options.cwd, at < 0 ? '.trainguard' : (options.flags?.[at + 1] ?? ''));
  const file = path.join(stateDir, 'runs', 'one', 'state.json');
  await eventually(() => /"name":"running"/.test(readFileSync(file, 'utf8')), 'a state that says running');
  return run;
}

/** What a verb says, and how it ends, in a place of its own. */
const ask = (
  t: TestContext,
  cwd: string,
  args: readonly string[],
  within?: readonly string[],
): Promise<Ended> => runProgram(t, withinOr(within, [...trainguard, ...args]), { cwd }).done;

interface View extends RunView {
  readonly active: boolean;
  readonly supervisor: {
    readonly pid: number;
    readonly host: string;
    readonly where: string;
    readonly seenAt: string;
    readonly ageSeconds: number;
  } | null;
}

async function viewOf(t: TestContext, cwd: string): Promise<View> {
  const { code, stdout, stderr } = await ask(t, cwd, ['status', 'one', '--json']);
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { runs: View[] }).runs[0]!;
}

/** The loser of two: exit 75, and one sentence that names the run and its holder. */
function assertBusy(ended: Ended, named: RegExp): void {
  assert.equal(ended.code, 75, ended.stderr);
  assert.match(ended.stderr, named);
  assert.equal(ended.stderr.trim().split('\n').length, 1, ended.stderr);
}

const startsIn = (cwd: string): number =>
  readFileSync(path.join(cwd, 'started'), 'utf8').trim().split('\n').length;

const letGo = (cwd: string): void => writeFileSync(path.join(cwd, 'go'), '');

const runFolder = (cwd: string): string => path.join(cwd, '.trainguard', 'runs', 'one');

/** What a host that has been away for ten minutes would have left: nothing of the run was written since. */
function age(cwd: string, folder = runFolder(cwd)): void {
  const then = Date.now() / 1000 - 600;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) utimesSync(path.join(entry.parentPath, entry.name), then, then);
  }
}

/** On a shared folder of two hosts, sockets of the other cannot be asked. */
function cutSockets(cwd: string): void {
  const lock = path.join(runFolder(cwd), 'lock');
  for (const name of readdirSync(lock)) if (name.endsWith('.sock')) rmSync(path.join(lock, name));
}

const otherNet = ['unshare', '--net'] as const;
const otherPids = ['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;
const container = [
  ...['unshare', '--uts', ...otherPids.slice(1)],
  ...['sh', '-c', 'echo box > /proc/sys/kernel/hostname; exec "$@"', 'sh'],
] as const;
/** Another host, as far as its name, its boot and its sockets go. */
const otherHost = [
  ...['unshare', '--uts', '--net', '--mount', 'sh', '-c'],
  'echo node17 > /proc/sys/kernel/hostname; echo node17 > boot && mount --bind boot /proc/sys/kernel/random/boot_id && exec "$@"',
  'sh',
] as const;

const needs = (...flags: readonly string[]): { readonly skip: string | false } => ({
  skip: cannotUnshare(...flags),
});

describe('one supervisor a run', { concurrency: 2 }, () => {
  for (const [what, holder, comer] of [
    ['the holder', otherNet, []],
    ['the second', [], otherNet],
  ] as const) {
    test(`${what} in another network namespace`, needs('--net'), async (t) => {
      const cwd = tempDir(t);
      const run = await superviseUntilRunning(t, { cwd, within: holder });
      const second = await supervise(t, { cwd, within: comer }).done;
      assertBusy(
        second,
        new RegExp(`run one is already supervised by pid ${run.pid} on host ${os.hostname()}`),
      );
      assert.deepEqual(
        [(await viewOf(t, cwd)).state, (await viewOf(t, cwd)).supervisor?.where],
        ['running', 'here'],
      );
      letGo(cwd);
      assert.equal((await run.done).code, 0);
      assert.equal(startsIn(cwd), 1);
    });
  }

  test('many at once, in network namespaces of their own: one runs', needs('--net'), async (t) => {
    const cwd = tempDir(t);
    const crowd = Array.from({ length: 6 }, () => supervise(t, { cwd, within: otherNet }));
    const ended = new Map<number, Ended>();
    for (const one of crowd) void one.done.then((end) => ended.set(one.pid, end));
    await eventually(() => ended.size === crowd.length - 1, 'the end of all but one', 120_000);
    const winner = crowd.find(({ pid }) => !ended.has(pid));
    for (const end of ended.values())
      assertBusy(end, new RegExp(`already supervised by pid ${winner?.pid} `));
    letGo(cwd);
    assert.equal((await winner?.done)?.code, 0);
    assert.equal(startsIn(cwd), 1);
  });

  test(
    'the holder in another pid namespace; its pid is not looked up here',
    needs('-n', '-pf'),
    async (t) => {
      const cwd = tempDir(t);
      const run = await superviseUntilRunning(t, { cwd, within: otherPids });
      const second = await supervise(t, { cwd }).done;
      assertBusy(second, /run one is already supervised by pid 1 in another pid namespace on host /);
      const { state, supervisor } = await viewOf(t, cwd);
      assert.deepEqual([state, supervisor?.pid, supervisor?.where], ['running', 1, 'other-namespace']);
      const { stdout } = await ask(t, cwd, ['status']);
      assert.match(stdout, /supervised by pid 1 in another pid namespace of this host, state as of .* ago/);
      letGo(cwd);
      assert.equal((await run.done).code, 0);
    },
  );

  test('a pid namespace that is gone holds nothing', needs('-n', '-pf'), async (t) => {
    const cwd = tempDir(t);
    const run = await superviseUntilRunning(t, { cwd, within: otherPids });
    // unshare is told to take the supervisor, its first process, along, and so the namespace
    run.kill('SIGKILL');
    await run.done;
    const gone = await eventually(async () => {
      const view = await viewOf(t, cwd);
      return view.state === 'orphaned' && view;
    }, 'the end of the supervisor');
    // pid 1 is alive here, and so may be the worker's
    assert.deepEqual([gone.pid, gone.supervisor?.where], [null, 'other-namespace']);
    letGo(cwd);
    const next = await supervise(t, { cwd }).done;
    assert.equal(next.code, 0, next.stderr);
  });

  for (const [what, within] of [
    ['another pid namespace', otherPids],
    ['a container with a hostname of its own', container],
  ] as const) {
    test(`a worker that outlives its supervisor in ${what} is let live`, needs('-upf'), async (t) => {
      const cwd = tempDir(t);
      const script = '"$@" & wait; until [ -e over ]; do sleep 0.02; done';
      const run = await superviseUntilRunning(t, { cwd, within: [...within, 'sh', '-c', script, 'sh'] });
      const supervisor = childOf(childOf(run.pid));
      process.kill(supervisor, 'SIGKILL');
      await eventually(() => !processAlive(supervisor), 'the end of the supervisor');
      age(cwd); // a silent one may live all the same
      const refused = await supervise(t, { cwd }).done;
      assertBusy(
        refused,
        /in another pid namespace\) was last heard of .* its worker lives on there; end it with "kill \d+"/,
      );
      const worker = Number(/kill (\d+)/.exec(refused.stderr)?.[1]);
      assert.ok(processAlive(worker), `pid ${worker} is no process here`);
      const { state, pid } = await viewOf(t, cwd);
      assert.deepEqual([state, pid], ['orphaned', null]);
      const stateFile = path.join(runFolder(cwd), 'state.json');
      const said = readFileSync(stateFile);
      writeFileSync(stateFile, '{');
      assertBusy(await supervise(t, { cwd }).done, new RegExp(`alive .*pid (\\d+, )*${worker}\\b`));
      writeFileSync(stateFile, said);
      process.kill(worker, 'SIGKILL');
      await eventually(() => !processAlive(worker), 'the end of the worker');
      letGo(cwd);
      writeFileSync(path.join(cwd, 'over'), '');
      await eventually(
        async () => (await supervise(t, { cwd }).done).code === 0,
        'a run that goes on',
        90_000,
      );
    });
  }

  test('a stopped supervisor still holds its run, and stop says what it waits for', async (t) => {
    const cwd = tempDir(t);
    const run = await superviseUntilRunning(t, { cwd });
    run.kill('SIGSTOP');
    assertBusy(await supervise(t, { cwd }).done, new RegExp(`already supervised by pid ${run.pid} `));
    const { active, state } = await viewOf(t, cwd);
    assert.deepEqual([active, state], [true, 'running']);
    const stop = runCli(t, ['stop', 'one'], { cwd });
    await stop.untilStderr(
      new RegExp(`pid ${run.pid}\\), which is stopped itself .*"kill -CONT ${run.pid}"`),
    );
    run.kill('SIGCONT');
    assert.equal((await stop.done).stdout, 'run one is stopped\n');
    assert.equal((await run.done).code, 143);
  });

  test('killed with its worker, it leaves nothing that holds the next', async (t) => {
    const cwd = tempDir(t);
    const run = await superviseUntilRunning(t, { cwd });
    const worker = (await viewOf(t, cwd)).pid!;
    run.kill('SIGKILL');
    process.kill(worker, 'SIGKILL');
    await run.done;
    letGo(cwd);
    const next = await supervise(t, { cwd }).done;
    assert.equal(next.code, 0, next.stderr);
  });

  test(
    'paths longer than a socket may have, with a common beginning, are different runs',
    needs('--net'),
    async (t) => {
      const cwd = tempDir(t);
      const long = path.join(cwd, 'x'.repeat(120), 'y'.repeat(120));
      const [a, b] = [path.join(long, 'a'), path.join(long, 'b')];
      const run = await superviseUntilRunning(t, { cwd, within: otherNet, flags: ['--state-dir', a] });
      assertBusy(
        await supervise(t, { cwd, flags: ['--state-dir', a] }).done,
        new RegExp(`by pid ${run.pid} `),
      );
      const other = await superviseUntilRunning(t, { cwd, flags: ['--state-dir', b] });
      letGo(cwd);
      assert.deepEqual([(await run.done).code, (await other.done).code], [0, 0]);
    },
  );

  test('the same state folder by symlink and by bind mount', needs('--mount'), async (t) => {
    const cwd = tempDir(t);
    mkdirSync(path.join(cwd, 'state'));
    mkdirSync(path.join(cwd, 'mounted'));
    symlinkSync('state', path.join(cwd, 'link'));
    const run = await superviseUntilRunning(t, { cwd, flags: ['--state-dir', 'state'] });
    const named = new RegExp(`already supervised by pid ${run.pid} `);
    assertBusy(await supervise(t, { cwd, flags: ['--state-dir', 'link'] }).done, named);
    const mount = ['unshare', '--mount', 'sh', '-c', 'mount --bind state mounted && exec "$@"', 'sh'];
    const second = supervise(t, { cwd, within: mount, flags: ['--state-dir', 'mounted'] });
    assertBusy(await second.done, named);
    letGo(cwd);
    assert.equal((await run.done).code, 0);
  });

  test(
    'a read-only state folder: status answers, run and stop say what is wrong',
    needs('--mount'),
    async (t) => {
      const cwd = tempDir(t);
      const script =
        'mount --bind .trainguard .trainguard && mount -o remount,bind,ro .trainguard && exec "$@"';
      const readOnly = ['unshare', '--mount', 'sh', '-c', script, 'sh'];
      const run = await superviseUntilRunning(t, { cwd });
      const seen = await ask(t, cwd, ['status', '--json'], readOnly);
      assert.equal((JSON.parse(seen.stdout) as { runs: View[] }).runs[0]?.state, 'running');
      assertBusy(await supervise(t, { cwd, within: readOnly }).done, /already supervised by pid/);
      const stop = await ask(t, cwd, ['stop'], readOnly);
      assert.deepEqual([stop.code, stop.stderr.trim().split('\n').length], [78, 1], stop.stderr);
      assert.match(stop.stderr, /read-only/);
      letGo(cwd);
      assert.equal((await run.done).code, 0);
      const next = await supervise(t, { cwd, within: readOnly }).done;
      assert.equal(next.code, 78);
      assert.match(
        next.stderr,
        /^trainguard: cannot lock .*read-only.*; make it writable, or choose another --state-dir\n$/,
      );
    },
  );

  test(
    'a lock folder that may not be read is one sentence',
    { skip: process.getuid?.() !== 0 && 'needs root' },
    async (t) => {
      const cwd = tempDir(t);
      assert.equal(
        (await supervise(t, { cwd, command: ['false'], flags: ['--max-retries', '0'] }).done).code,
        1,
      );
      const lock = path.join(runFolder(cwd), 'lock');
      rmSync(lock, { recursive: true, force: true });
      writeFileSync(lock, 'no folder');
      const next = await supervise(t, { cwd }).done;
      assert.deepEqual([next.code, next.stderr.trim().split('\n').length], [78, 1], next.stderr);
      assert.match(next.stderr, /^trainguard: cannot lock /);
    },
  );
});

describe('one run a checkpoint folder', { concurrency: 2 }, () => {
  for (const [first, second] of [
    ['ckpts', 'ckpts/sub'],
    ['ckpts/sub', 'ckpts'],
  ] as const) {
    for (const states of ['the same state folder', 'different state folders']) {
      test(`${second} while ${first} is in use, from ${states}`, async (t) => {
        const cwd = tempDir(t);
        mkdirSync(path.join(cwd, 'ckpts', 'sub'), { recursive: true });
        const run = await superviseUntilRunning(t, { cwd, flags: ['--checkpoint-dir', first] });
        const elsewhere = states.startsWith('different') ? ['--state-dir', 'elsewhere'] : [];
        const flags = ['--name', 'two', '--checkpoint-dir', second, ...elsewhere];
        const refused = await supervise(t, { cwd, flags }).done;
        assertBusy(refused, new RegExp(`overlap, which is in use by run one \\(pid ${run.pid} on host`));
        assert.ok(
          !existsSync(path.join(cwd, '.trainguard', 'runs', 'two')),
          'the refused run left its folder',
        );
        letGo(cwd);
        assert.equal((await run.done).code, 0);
        assert.equal((await supervise(t, { cwd, flags }).done).code, 0);
      });
    }
  }

  test('the same folder by symlink and by bind mount', needs('--mount'), async (t) => {
    const cwd = tempDir(t);
    mkdirSync(path.join(cwd, 'data', 'ckpts'), { recursive: true });
    mkdirSync(path.join(cwd, 'mounted'));
    symlinkSync('data/ckpts', path.join(cwd, 'link'));
    const run = await superviseUntilRunning(t, { cwd, flags: ['--checkpoint-dir', 'data/ckpts'] });
    const named = new RegExp(`in use by run one \\(pid ${run.pid} on host`);
    const two = (dir: string): readonly string[] => ['--name', 'two', '--checkpoint-dir', dir];
    assertBusy(await supervise(t, { cwd, flags: two('link') }).done, named);
    const mount = ['unshare', '--mount', 'sh', '-c', 'mount --bind data mounted && exec "$@"', 'sh'];
    assertBusy(await supervise(t, { cwd, within: mount, flags: two('mounted/ckpts') }).done, named);
    letGo(cwd);
    assert.equal((await run.done).code, 0);
  });
});

describe('a supervisor on another host', { concurrency: 2, ...needs('--uts', '--net', '--mount') }, () => {
  /** A run that another host supervises, seen from here by a shared folder only. */
  async function onOtherHost(t: TestContext): Promise<{ readonly cwd: string; readonly run: Running }> {
    const cwd = tempDir(t);
    const run = await superviseUntilRunning(t, { cwd, within: otherHost });
    cutSockets(cwd);
    return { cwd, run };
  }

  test('status says where it is and how fresh; run refuses; stop works', async (t) => {
    const { cwd, run } = await onOtherHost(t);
    const { state, active, supervisor, pid } = await viewOf(t, cwd);
    assert.deepEqual([state, active, supervisor?.where], ['running', true, 'other-host']);
    assert.deepEqual([supervisor?.host, supervisor?.pid], ['node17', run.pid]);
    assert.ok(Number.isInteger(supervisor?.ageSeconds) && Date.parse(supervisor?.seenAt ?? '') > 0);
    const words = (await ask(t, cwd, ['status'])).stdout;
    assert.match(words, new RegExp(`supervised by pid ${run.pid} on host node17, state as of .* ago`));
    assert.match(words, new RegExp(`pid ${pid} on host node17, no heartbeat yet`));
    assertBusy(
      await supervise(t, { cwd }).done,
      new RegExp(`already supervised by pid ${run.pid} on host node17 since .*try again in 2 minutes`),
    );
    const dry = await ask(t, cwd, ['stop', '--dry-run']);
    assert.equal(dry.stdout, `would stop run one (supervisor ${run.pid} on host node17)\n`);
    const stop = await ask(t, cwd, ['stop']);
    assert.deepEqual([stop.code, stop.stdout], [0, 'run one is stopped\n'], stop.stderr);
    assert.match(
      stop.stderr,
      new RegExp(`supervisor of run one \\(pid ${run.pid} on host node17, heard of .* ago\\)`),
    );
    assert.equal((await run.done).code, 143);
    assert.equal((await viewOf(t, cwd)).state, 'stopped');
  });

  test('with its claim gone its fresh state still keeps others away', async (t) => {
    const { cwd, run } = await onOtherHost(t);
    rmSync(path.join(runFolder(cwd), 'lock'), { recursive: true });
    assert.equal((await viewOf(t, cwd)).state, 'running');
    assertBusy(
      await supervise(t, { cwd }).done,
      new RegExp(`already supervised by pid ${run.pid} on host node17, which wrote its state .* ago`),
    );
    const rollback = await ask(t, cwd, ['rollback', 'one', '--to', 'latest', '--checkpoint-dir', '.']);
    assert.equal(rollback.code, 75, rollback.stderr);
    const stop = await ask(t, cwd, ['stop', '--json']);
    assert.equal((JSON.parse(stop.stdout) as { stopped: boolean }).stopped, true, stop.stderr);
    assert.equal((await run.done).code, 143);
  });

  test('killed, it counts as alive until it has been silent for two minutes; then it is said what is known', async (t) => {
    const { cwd, run } = await onOtherHost(t);
    const { pid: worker } = await viewOf(t, cwd);
    run.kill('SIGKILL');
    await run.done;
    assert.equal((await viewOf(t, cwd)).state, 'running', 'nobody here can know better');
    const stop = runCli(t, ['stop'], { cwd });
    await stop.untilStderr(
      new RegExp(`waiting for the supervisor of run one \\(pid ${run.pid} on host node17, heard of`),
    );
    age(cwd);
    const stopped = await stop.done;
    assert.deepEqual([stopped.code, stopped.stdout], [1, '']);
    assert.match(
      stopped.stderr,
      new RegExp(
        `pid ${run.pid} on host node17\\) was last heard of 10m( \\d+s)? ago, before it had ended the run`,
      ),
    );

    const { state, pid } = await viewOf(t, cwd);
    assert.deepEqual([state, pid], ['orphaned', null]);
    assert.match(
      (await ask(t, cwd, ['status'])).stdout,
      /\(pid \d+ on host node17\) was last heard of 10m( \d+s)? ago; if its worker lives on there, end it there, then "trainguard resume one"/,
    );

    // its worker lives on, and says so
    const log = path.join(runFolder(cwd), 'attempts/000/worker-0.out.log');
    writeFileSync(log, 'working\n');
    assertBusy(
      await supervise(t, { cwd }).done,
      new RegExp(`node17\\) was last heard of .* its worker there still writes .*"kill ${worker}"`),
    );
    // as with its host: nobody writes down how it ended
    process.kill(readStat(worker!)!.ppid, 'SIGKILL');
    process.kill(worker!, 'SIGKILL');
    await eventually(() => !processAlive(worker!), 'the end of the worker');
    age(cwd);
    letGo(cwd);
    const next = await supervise(t, { cwd }).done;
    assert.equal(next.code, 0, next.stderr);
    const notices = eventsOf(next.stdout).filter(({ type }) => type === 'notice');
    assert.match(
      JSON.stringify(notices),
      /on host node17\) was last heard of .* its worker there \(pid \d+\) is silent too/,
    );
  });

  test('a state that cannot be read keeps nobody from stopping the run', async (t) => {
    const { cwd, run } = await onOtherHost(t);
    run.kill('SIGSTOP');
    writeFileSync(path.join(runFolder(cwd), 'state.json'), '{');
    const stop = runCli(t, ['stop', 'one'], { cwd });
    await stop.untilStderr(new RegExp(`pid ${run.pid} on host node17`));
    run.kill('SIGCONT');
    assert.equal((await stop.done).stdout, 'run one is stopped\n');
  });
});

function childOf(pid: number): number {
  const child = readdirSync('/proc').find(
    (name) => /^\d+$/.test(name) && readStat(Number(name))?.ppid === pid,
  );
  assert.ok(child !== undefined, `pid ${pid} has no child`);
  return Number(child);
}
