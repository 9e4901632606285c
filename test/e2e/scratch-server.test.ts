import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pythonPath } from '../support/python.js';
import { runCli } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { serve } from './serve-kit.js';

/** Prints nothing: its steps go by HTTP, its checkpoints there and into a folder. */
const training = `
import json, os, time, urllib.request
url = os.environ["TRAINGUARD_URL"]
token = os.environ.get("TRAINGUARD_TOKEN") or open(os.environ["TRAINGUARD_TOKEN_FILE"]).read().strip()
def call(method, path, body):
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    request = urllib.request.Request(url + path, method=method, data=json.dumps(body).encode(), headers=headers)
    urllib.request.urlopen(request).read()
call("PUT", "/v1/workers/w0", {})
resume = os.environ.get("TRAINGUARD_RESUME_FROM")
step = json.load(open(resume))["step"] if resume else 0
os.makedirs("ckpts", exist_ok=True)
while step < 2000:
    time.sleep(0.02)
    step += 1
    call("POST", "/v1/workers/w0/heartbeat", {"step": step, "loss": 1 / step})
    if step % 10 == 0:
        call("POST", "/v1/workers/w0/checkpoints", {"step": step})
        with open("ckpts/new", "w") as file:
            json.dump({"step": step}, file)
        os.rename("ckpts/new", "ckpts/checkpoint-%d.json" % step)
`;

describe(
  'a server for workers that the shell names is none of a drill or a trial',
  { concurrency: 2 },
  () => {
    test('drill: the training reports to one of its own, and is drilled by what it says there', async (t) => {
      const { cwd, env, untouched } = await withServer(t);
      const words = ['drill', '--timeout', '60', '--checkpoint-dir', 'ckpts'];
      const { code, stderr } = await runCli(t, [...words, '--', pythonPath(), 'train.py'], { cwd, env }).done;
      assert.equal(code, 0, stderr);
      assert.match(stderr, /report to a server in the scratch folder, not to the one that TRAINGUARD_URL/);
      await untouched();
    });

    test('doctor --try: likewise', async (t) => {
      const { cwd, env, untouched } = await withServer(t);
      const words = ['doctor', '--json', '--try', '30s', '--checkpoint-dir', 'ckpts'];
      const ended = await runCli(t, [...words, '--', pythonPath(), 'train.py'], { cwd, env }).done;
      assert.match(
        ended.stdout,
        /progress is recognised \(heartbeat lines\): steps 1 to/,
        ended.stdout + ended.stderr,
      );
      await untouched();
    });
  },
);

/** A training, and a server with a checkpoint of a worker that bears the same name. */
async function withServer(t: TestContext): Promise<{
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly untouched: () => Promise<void>;
}> {
  const [cwd, other] = [tempDir(t), tempDir(t)];
  writeFileSync(path.join(cwd, 'train.py'), training);
  const live = await serve(t, other);
  assert.equal((await live.call('POST', '/v1/workers/w0/checkpoints', { of: 'the training' })).status, 201);
  const env = {
    TRAINGUARD_URL: live.url,
    TRAINGUARD_TOKEN: live.token,
    TRAINGUARD_TOKEN_FILE: live.tokenFile,
  };
  return {
    cwd,
    env,
    async untouched() {
      const latest = await live.call('GET', '/v1/workers/w0/checkpoints/latest');
      assert.deepEqual(latest.body, { of: 'the training' });
      assert.deepEqual((await live.call('GET', '/v1/workers')).body['workers'], []);
      assert.deepEqual(readdirSync(cwd), ['train.py']);
    },
  };
}
