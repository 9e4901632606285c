// Trainings in Python through the file that `trainguard client python` prints, as a user's would: they know of no kill.
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { python, trainguard } from '../bench/lib.mjs';
import { clientOf, json } from '../bench/serve-process.mjs';

/** Trains until its stdin ends, saves once more and says what. */
const training = `
import sys, threading, time
from trainguard_client import RecoveryManager
name = sys.argv[1]
manager = RecoveryManager(heartbeat_interval=1, checkpoint_dir="spool", heartbeat_timeout=60)
manager.start_monitoring()
manager.register_worker(name)
enough = threading.Thread(target=sys.stdin.read)
enough.start()
batch = 0
while enough.is_alive() or batch == 0:
    batch += 1
    time.sleep(0.02)
    if not manager.heartbeat(name, {"current_batch": batch}):
        sys.exit("told to stop")
    if batch % 5 == 0:
        manager.save_checkpoint(name, {"batch": batch})
        assert manager.load_checkpoint(name) == {"batch": batch}
manager.save_checkpoint(name, {"batch": batch})
print(batch)
`;

export class PythonWorker {
  #ended;
  #child;

  constructor(name, dir, where, violated) {
    Object.assign(this, { name, violated, client: clientOf(() => where) });
    const { stdout } = spawnSync(process.execPath, [
      process.env.TRAINGUARD_BIN ?? trainguard,
      'client',
      'python',
    ]);
    writeFileSync(path.join(dir, 'trainguard_client.py'), stdout);
    this.#child = spawn(python, ['-c', training, name], {
      cwd: dir,
      env: { ...process.env, TRAINGUARD_URL: where.url, TRAINGUARD_TOKEN: where.token, PYTHONPATH: dir },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    process.once('exit', () => this.#child.kill('SIGKILL'));
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'])
      this.#child[name]
        .setEncoding('utf8')
        .on('data', (text) => (said[name] = (said[name] + text).slice(-8000)));
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject).once('close', (code) => resolve({ code, ...said }));
    });
  }

  /** It has ended well, and what it saved last is the newest that there is. @returns its batches */
  async check() {
    this.#child.stdin.end();
    const { code, stdout, stderr } = await this.#ended;
    if (code !== 0) return void this.violated(`${this.name} ended with ${code}: ${stderr}`);
    const batch = Number(stdout);
    const latest = json(await this.client.ask('GET', `/v1/workers/${this.name}/checkpoints/latest`));
    if (latest.batch !== batch)
      this.violated(`${this.name} saved ${batch}, the newest is ${latest.batch}: ${stderr}`);
    const { failureCount } = json(await this.client.ask('GET', `/v1/workers/${this.name}`));
    if (failureCount !== 0) this.violated(`${this.name} was taken for failed ${failureCount} times`);
    return batch;
  }
}
