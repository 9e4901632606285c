// A real Ray cluster (a head and two more nodes, each with a raylet of its own) trains with fixtures/ray/train.py through
// `trainguard serve`. Mid-way the raylet of one node and an actor on another are killed. All four actors must end at their
// last step, those that died from a checkpoint beyond step 0, and no step may be left out or done twice.
// `npm run build && .ci/ray [-v]`   -v: what Ray and the server print; TRAINGUARD_RAY names the virtual environment
import { spawn } from 'node:child_process';
import {
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const trainguard = path.join(root, 'bin/trainguard.js');
const venv = process.env.TRAINGUARD_RAY ?? path.join(homedir(), '.cache/trainguard-ci/ray');
const verbose = process.argv.includes('-v');
const steps = 150;
const patienceMs = 300_000;

// short: Ray's sockets are in it, whose paths have 107 bytes at most
const dir = mkdtempSync(path.join(tmpdir(), 'tg-ray-'));
const marker = `TRAINGUARD_CHAOS_RAY=${path.basename(dir)}`;
const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TRAINGUARD|RAY)_/.test(name))),
  PATH: `${path.join(venv, 'bin')}:${process.env.PATH}`,
  [marker.split('=')[0]]: marker.split('=')[1],
  RAY_USAGE_STATS_ENABLED: '0',
  // else the head would take the token of a ~/.ray/auth_token, and the other nodes would not
  RAY_AUTH_MODE: 'disabled',
  PYTHONUNBUFFERED: '1',
};

/** Starts it, its output in a file. @returns what is printed so far, and its end */
function start(name, argv, more = {}) {
  const file = path.join(dir, `${name}.log`);
  const log = openSync(file, 'w');
  const child = spawn(argv[0], argv.slice(1), {
    cwd: dir,
    env: { ...env, ...more },
    stdio: ['ignore', log, log],
  });
  const state = { ended: false };
  const done = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      state.ended = true;
      resolve(code ?? signal);
    });
  });
  const said = () => readFileSync(file, 'utf8');
  const until = (pattern) =>
    eventually(() => {
      const match = pattern.exec(said());
      if (!match && state.ended) throw new Error(`${name} ended:\n${said()}`);
      return match;
    }, `${name} says ${pattern}`);
  return { done, said, until };
}

async function eventually(fact, what) {
  for (const end = performance.now() + patienceMs; performance.now() < end; await delay(100)) {
    const found = await fact();
    if (found) return found;
  }
  throw new Error(`waited in vain: ${what}`);
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((one) => new Promise((resolve) => one.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((one) => one.address().port);
  await Promise.all(servers.map((one) => new Promise((resolve) => one.close(resolve))));
  return ports;
}

/** Ours that are alive: pid, program, and the node that it belongs to. */
function processes() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
        if (!variables.includes(marker)) return [];
        const node = variables.find((one) => one.startsWith('TRAINGUARD_CHAOS_NODE='))?.split('=')[1];
        return [{ pid: Number(pid), program: path.basename(readlinkSync(`/proc/${pid}/exe`)), node }];
      } catch {
        // it ended meanwhile
        return [];
      }
    });
}

/** `ray`, but that a node of a machine with much to do is waited for longer than Ray's own 30 s, which cannot be set. */
const patientRay = `
import time
import ray._private.services as services
from ray.scripts.scripts import main
once = services.get_node
def get_node(*which):
    until = time.monotonic() + 120
    while True:
        try: return once(*which)
        except RuntimeError:
            if time.monotonic() > until: raise
            time.sleep(0.2)
services.get_node = get_node
main()
`;

/** Ray gives up on a node where the machine is slow, or somebody took a port meanwhile: then once more. */
async function startNode(name, address) {
  for (let tries = 1; ; tries++) {
    try {
      return await startNodeOnce(name, address);
    } catch (error) {
      if (tries === 4) throw error;
      console.log(`${name} did not start (${String(error).trim().split('\n').at(-1)}); again`);
      await killAll((one) => one.node === name);
      if (!address) rmSync(path.join(dir, 'ray'), { recursive: true, force: true });
    }
  }
}

async function startNodeOnce(name, address) {
  const [port, listen, grpc, runtimeEnv] = await freePorts(4);
  const place = address
    ? ['--address', address]
    : ['--head', '--port', port, '--temp-dir', path.join(dir, 'ray'), '--include-dashboard', 'false'];
  const noticed =
    '{"health_check_period_ms":1000,"health_check_failure_threshold":5,"health_check_initial_delay_ms":0}';
  const ray = start(
    name,
    [
      ...['python', '-c', patientRay, 'start', '--block'],
      ...['--num-cpus', 2, '--object-store-memory', 80_000_000, ...place],
      ...['--dashboard-agent-listen-port', listen, '--dashboard-agent-grpc-port', grpc],
      ...['--runtime-env-agent-port', runtimeEnv, '--include-log-monitor', 'false', '--disable-usage-stats'],
      ...(address ? [] : ['--system-config', noticed]),
    ].map(String),
    { TRAINGUARD_CHAOS_NODE: name },
  );
  await ray.until(/Ray runtime started/);
  return `127.0.0.1:${port}`;
}

async function killAll(which) {
  for (let left = processes().filter(which); left.length > 0; left = processes().filter(which)) {
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it ended by itself
        continue;
      }
    }
    await delay(100);
  }
}

async function main() {
  const serve = start('serve', [process.execPath, trainguard, 'serve', '--port', '0', '--state-dir', dir]);
  const [url] = await serve.until(/http:\/\/[\d.:]+/);
  const token = readFileSync(path.join(dir, 'serve/token'), 'utf8').trim();
  const ask = async (what) => {
    const answer = await fetch(url + what, { headers: { authorization: `Bearer ${token}` } });
    return answer.ok ? answer.json() : undefined;
  };
  const work = mkdtempSync(path.join(dir, 'work-'));
  copyFileSync(path.join(root, 'fixtures/ray/train.py'), path.join(work, 'train.py'));
  const client = start('client', [process.execPath, trainguard, 'client', 'python']);
  await client.done;
  writeFileSync(path.join(work, 'trainguard_client.py'), client.said());

  const address = await startNode('head');
  for (const name of ['node-1', 'node-2']) await startNode(name, address);
  console.log('a Ray cluster of 3 nodes is up');
  const training = start('train', ['python', path.join(work, 'train.py'), '--steps', String(steps)], {
    TRAINGUARD_URL: url,
    TRAINGUARD_TOKEN: token,
    RAY_ADDRESS: address,
  });
  const names = [0, 1, 2, 3].map((number) => `actor-${number}`);
  const newest = (name) => ask(`/v1/workers/${name}/checkpoints/latest`);
  const states = await eventually(async () => {
    const all = await Promise.all(names.map(newest));
    return all.every((state) => state?.step >= 10) ? all : undefined;
  }, 'a checkpoint beyond step 10 of each actor');

  const alive = processes();
  const places = states.map(({ lives }) => alive.find(({ pid }) => pid === lives[0].pid)?.node);
  const lost = ['node-1', 'node-2'].find((node) => places.includes(node));
  const raylet = alive.find(({ program, node }) => program === 'raylet' && node === lost);
  const shot = places.findIndex((place) => place !== lost);
  if (!raylet || shot < 0) throw new Error(`the actors are not spread: ${places.join(', ')}`);
  process.kill(raylet.pid, 'SIGKILL');
  process.kill(states[shot].lives[0].pid, 'SIGKILL');
  console.log(`killed: the raylet of ${lost}, and ${names[shot]} on ${places[shot]}`);

  const status = await training.done;
  if (status !== 0) throw new Error(`train.py ended with ${status}:\n${training.said()}`);
  const ended = training
    .said()
    .split('\n')
    .filter((line) => line.startsWith('{"actor"'))
    .map((line) => JSON.parse(line));
  let weight = 0;
  for (let step = 1; step <= steps; step++) weight += 1 / step;
  const problems = [];
  console.log(
    '\n| actor | at first on | killed | resumed at step | last step | steps left out or done twice |',
  );
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const [index, name] of names.entries()) {
    const state = ended.find(({ actor }) => actor === name);
    const killed = places[index] === lost ? 'with its node' : index === shot ? 'alone' : 'no';
    const wrong = state?.steps.filter((step, at) => step !== at + 1).length;
    const resumed = state?.lives.slice(1).map(({ from }) => from) ?? [];
    console.log(
      `| ${name} | ${places[index]} | ${killed} | ${resumed.join(', ') || '-'} | ${state?.step} | ${wrong} |`,
    );
    const right =
      state?.step === steps &&
      state.steps.length === steps &&
      wrong === 0 &&
      state.weight === weight &&
      (killed === 'no' ? resumed.length === 0 : resumed.length > 0 && resumed.every((step) => step >= 10));
    if (!right) problems.push(name);
  }
  const left = await ask('/v1/workers');
  if (left.workers.length > 0)
    problems.push(`the server still watches ${left.workers.map((w) => w.workerId).join(', ')}`);
  if (problems.length > 0) throw new Error(`not as it should be: ${problems.join(', ')}`);
  console.log('\nall four ended at their last step; whoever was killed went on from its checkpoint');
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  if (verbose || process.exitCode)
    for (const log of readdirSync(dir).filter((name) => name.endsWith('.log') && name !== 'client.log'))
      console.error(`--- ${log}\n${readFileSync(path.join(dir, log), 'utf8').slice(-3000)}`);
  await killAll(() => true);
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
