import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TestEnd } from '../support/cleanup.js';
import { runDigits } from '../support/digits.js';
import { eventually } from '../support/eventually.js';
import { pythonPath } from '../support/python.js';
import { fixture, root } from '../support/root.js';
import { runCli, type Ended, runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { cannotUnshare } from '../support/unshare.js';
import { digits, guard, treeOf } from './kit.js';

interface Check {
  readonly about: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly text: string;
  readonly way: string | null;
}

interface Answer {
  readonly ok: boolean;
  readonly failures: number;
  readonly checks: readonly Check[];
}

/** `trainguard doctor --json`, whose exit status must be what it found. */
async function ask(t: TestEnd, cwd: string, ...words: readonly string[]): Promise<Answer> {
  return answerOf(await runCli(t, ['doctor', '--json', ...words], { cwd }).done);
}

function answerOf({ code, stdout, stderr }: Ended): Answer {
  assert.ok(code === 0 || code === 1, `exit ${code}: ${stderr}`);
  const answer = JSON.parse(stdout) as Answer;
  assert.equal(answer.ok, code === 0, stdout);
  assert.equal(answer.failures, answer.checks.filter(({ level }) => level === 'fail').length);
  return answer;
}

/** The one check about this of this level; the whole answer if there is none. */
function found({ checks }: Answer, level: Check['level'], about: string, text: RegExp): Check {
  const check = checks.find((one) => one.level === level && one.about === about && text.test(one.text));
  assert.ok(check, `${level} ${about} ${String(text)} in\n${JSON.stringify(checks, null, 1)}`);
  return check;
}

/** A folder with a project's end above it, so that no configuration further up is found. */
function project(t: TestEnd): string {
  const cwd = tempDir(t);
  writeFileSync(path.join(cwd, 'pyproject.toml'), '');
  return cwd;
}

const namespace = ['--user', '--map-root-user', '--mount'] as const;
const noTmpfs = cannotUnshare(...namespace, 'sh', '-c', 'mount -t tmpfs tmpfs /mnt');

describe('doctor', { concurrency: 2 }, () => {
  test('of a training that is in order: nothing would fail, and nothing is changed', async (t) => {
    const cwd = project(t);
    const before = treeOf(cwd);
    const answer = await ask(t, cwd, '--checkpoint-dir', 'ckpts', '--', ...digits());
    for (const about of [
      'platform',
      'node',
      'command',
      'script',
      'output',
      'state folder',
      'lock',
      'checkpoint folder',
      'vault',
      'resume',
    ])
      // prettier-ignore
      found(answer, 'ok', about, /./);
    assert.deepEqual(treeOf(cwd), before);
  });

  test('in words: what would fail stands at the end, with the way out', async (t) => {
    const cwd = project(t);
    const { code, stdout } = await runCli(t, ['doctor', '--', 'pyton', 'train.py'], { cwd }).done;
    assert.equal(code, 1);
    const [, summary = ''] = stdout.split('\n\n');
    assert.match(
      summary,
      /^2 things would fail \(.*above\):\nfail {2}command .*pyton.*PATH.*\nfail {2}script .*train\.py.*\n *→ /,
    );
  });

  test('without a command it looks at the machine, and at the configuration’s command if there is one', async (t) => {
    const cwd = project(t);
    found(await ask(t, cwd), 'warn', 'command', /only the machine/);
    writeFileSync(path.join(cwd, 'recovery.config.json'), JSON.stringify({ command: ['sh', 'gone.sh'] }));
    const answer = await ask(t, cwd);
    found(answer, 'ok', 'configuration', /recovery\.config\.json is valid/);
    found(answer, 'fail', 'script', /gone\.sh/);
    writeFileSync(path.join(cwd, 'recovery.config.json'), '{\n"maxRetires": 3 }');
    found(await ask(t, cwd), 'fail', 'configuration', /line 2: there is no key maxRetires; did you mean maxRetries/); // prettier-ignore
  });

  test('a file where a folder is to be: the folder would fail', async (t) => {
    const cwd = project(t);
    writeFileSync(path.join(cwd, 'taken'), 'a file');
    const answer = await ask(t, cwd, '--state-dir', 'taken/state', '--checkpoint-dir', 'taken', '--', ...digits()); // prettier-ignore
    found(answer, 'fail', 'state folder', /a file is in its place/);
    found(answer, 'fail', 'checkpoints', /is a file/);
  });

  test('a full disk and a read-only one: the folder would fail', { skip: noTmpfs }, async (t) => {
    const cwd = project(t);
    const script = `
      mkdir full closed && mount -t tmpfs -o size=64k tmpfs full && (cat /dev/zero > full/filler || true) 2> /dev/null
      mount -t tmpfs -o size=1m tmpfs closed && mkdir closed/ckpts && mount -o remount,ro closed
      exec "$@"`;
    const doctor = [process.execPath, path.join(root, 'bin', 'trainguard.js'), 'doctor', '--json'];
    const flags = ['--state-dir', 'full', '--checkpoint-dir', 'closed/ckpts', '--', ...digits()];
    const words = [...namespace, 'sh', '-c', script, 'sh', ...doctor, ...flags];
    const answer = answerOf(await runProgram(t, ['unshare', ...words], { cwd }).done);
    found(answer, 'fail', 'state folder', /no space is left/);
    found(answer, 'fail', 'checkpoint folder', /read-only/);
    found(answer, 'fail', 'vault', /read-only/);
  });

  test('a run under way: says who has the run and its checkpoint folder', async (t) => {
    const cwd = project(t);
    const command = digits('--steps', '100000', '--step-time', '0.05');
    const run = guard(t, command, { cwd });
    await eventually(() => readdirSync(path.join(cwd, 'ckpts'))[0], 'a checkpoint is there');
    const same = await ask(t, cwd, '--checkpoint-dir', 'ckpts', '--', ...command);
    const { way } = found(same, 'fail', 'lock', /^run digits is in use by pid \d+/);
    assert.match(way ?? '', /trainguard attach digits/);
    const other = await ask(t, cwd, '--checkpoint-dir', 'ckpts', '--', ...digits('--steps', '7'));
    found(other, 'fail', 'lock', /checkpoint folder .*ckpts is in use by run digits \(pid \d+/);
    run.kill('SIGTERM');
    await run.done;
  });

  test('a damaged checkpoint is named, with the one that training would resume from', async (t) => {
    const cwd = project(t);
    const trained = await runDigits(t, ['--steps', '60', '--checkpoint-dir', 'ckpts'], { cwd }).done;
    assert.equal(trained.code, 0);
    truncateSync(path.join(cwd, 'ckpts', 'step-000060.npz'), 3000);
    const before = treeOf(cwd);
    const answer = await ask(t, cwd, '--checkpoint-dir', 'ckpts', '--', ...digits());
    found(answer, 'ok', 'checkpoints', /3 checkpoints .*newest good one is step-000040\.npz/);
    found(answer, 'warn', 'damaged', /step-000060\.npz is corrupt/);
    found(
      answer,
      'ok',
      'rollback',
      /step-000060\.npz would go into quarantine, and .*resume from step-000040/,
    );
    found(answer, 'ok', 'checkpoint folder', /room for [\d,]+ more checkpoints of/);
    assert.deepEqual(treeOf(cwd), before);
  });

  test('a script that resumes only if told: names the flag', async (t) => {
    const cwd = project(t);
    const command = [pythonPath(), fixture('drill', 'by_flag.py'), '--output_dir', 'out'];
    const { way } = found(await ask(t, cwd, '--', ...command), 'warn', 'resume', /--resume_from, line \d+ of .*by_flag\.py/); // prettier-ignore
    assert.match(way ?? '', /^--resume-args '--resume_from \{path\}'$/m);
  });

  test('a trial: the format, the steps and a save are seen, in a scratch folder', async (t) => {
    const cwd = project(t);
    mkdirSync(path.join(cwd, 'ckpts'));
    const before = treeOf(cwd);
    const command = digits('--steps', '100000', '--save-every', '5', '--step-time', '0.01', '--phases', '--checkpoint-dir', 'ckpts'); // prettier-ignore
    const answer = await ask(t, cwd, '--try', '30s', '--checkpoint-dir', 'ckpts', '--', ...command);
    found(answer, 'ok', 'progress', /recognised \(heartbeat lines\): steps 1 to \d+, the first after .* apart, with phases/); // prettier-ignore
    found(answer, 'ok', 'trial', /then it was stopped/);
    found(answer, 'ok', 'trial', /it saved .*step-\d+\.npz/);
    assert.deepEqual(treeOf(cwd), before);
  });

  test('a trial of a silent script, and of one that fails', async (t) => {
    const cwd = project(t);
    writeFileSync(path.join(cwd, 'silent.py'), 'open("began", "w").close()\n');
    const silent = await ask(t, cwd, '--try', '--', pythonPath(), 'silent.py');
    assert.equal(readFileSync(path.join(cwd, 'began'), 'utf8'), '');
    found(silent, 'ok', 'trial', /ended by itself/);
    const { way } = found(silent, 'warn', 'progress', /printed nothing/);
    assert.match(way ?? '', /heartbeat step=/);
    writeFileSync(path.join(cwd, 'broken.py'), 'import no_such_module_at_all\n');
    const broken = await ask(t, cwd, '--try', '--', pythonPath(), 'broken.py');
    found(broken, 'fail', 'trial', /code: .*no_such_module_at_all/);
  });
});
