import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSecretName, maskArgv, maskEnv, maskText } from '../../src/util/mask.js';

test('secret names are told from names that merely sound like them', () => {
  for (const name of 'HF_TOKEN WANDB_API_KEY DB_PASSWORD PASSWORD my_secret_thing apiKey --api-key wandb.api_key AWS_SECRET_ACCESS_KEY GOOGLE_APPLICATION_CREDENTIALS PGPASSWORD'.split(
    ' ',
  ))
    assert.ok(isSecretName(name), name);
  for (const name of 'PWD OLDPWD PATH tokenizer num_tokens --max-tokens KeyError keyboard MONKEY passes HOME --lr'.split(
    ' ',
  ))
    assert.ok(!isSecretName(name), name);
});

test('argv keeps its length and everything but the secrets', () => {
  assert.deepEqual(
    maskArgv([
      ...['python', 'train.py', '--token', 'abc', '--api-key=xyz', '--tokenizer', 'gpt2', '--lr=0.1'],
      ...[
        'HF_TOKEN=q',
        'wandb.api_key=1',
        '--use-key',
        '--seed',
        '3',
        's3://u:p@bucket/x',
        '--password',
        '-x',
      ],
    ]),
    [
      ...['python', 'train.py', '--token', '***', '--api-key=***', '--tokenizer', 'gpt2', '--lr=0.1'],
      ...[
        'HF_TOKEN=***',
        'wandb.api_key=***',
        '--use-key',
        '--seed',
        '3',
        's3://***@bucket/x',
        '--password',
        '***',
      ],
    ],
  );
});

test('a password behind a colon, in arguments', () => {
  const argv = ['curl', '-u', 'bob:a b', '--user=bob:secret', '-H', 'Authorization: Basic YTpi', '-u', 'bob'];
  assert.deepEqual(maskArgv(argv), [
    ...['curl', '-u', 'bob:***', '--user=bob:***', '-H', 'Authorization: Basic ***', '-u', 'bob'],
  ]);
  const plain = ['python', '-u', 'train.py', '--user', '1000:1000', '-u', 'https://host/x'];
  assert.deepEqual(maskArgv(plain), plain);
});

test('env', () => {
  assert.deepEqual(maskEnv({ HF_TOKEN: 'a', PATH: '/bin', PROXY: 'http://u:p@h:1', MASTER_PORT: '29500' }), {
    HF_TOKEN: '***',
    PATH: '/bin',
    PROXY: 'http://***@h:1',
    MASTER_PORT: '29500',
  });
});

const texts: readonly [string, string][] = [
  ['clone https://user:pa@ss@git.host/x.git failed', 'clone https://***@git.host/x.git failed'],
  ['see https://host/a@b and http://x', 'see https://host/a@b and http://x'],
  ['export HF_TOKEN=abc; python t.py', 'export HF_TOKEN=***; python t.py'],
  ['{"api_key": "abc def", "lr": 1}', '{"api_key": ***, "lr": 1}'],
  ["config: {'password': 'x', 'b': 2}", "config: {'password': ***, 'b': 2}"],
  ['run --token abc --lr 1', 'run --token *** --lr 1'],
  ['Authorization: Bearer abc.def-ghi123', 'Authorization: Bearer ***'],
  ['GET /x?token=abcdefghijklmnopqrst&n=1', 'GET /x?token=***&n=1'],
  ['logged in with hf_abcdefghijklmnopqrstuvwx!', 'logged in with ***!'],
  ['Authorization: Basic Ym9iOmh1bnRlcjI=', 'Authorization: Basic ***'],
  ["-H 'authorization: token abc'", "-H 'authorization: token ***'"],
  ['curl -u bob:hunter2 x', 'curl -u bob:*** x'],
  ['curl --user=bob:a:b "-u" ', 'curl --user=bob:*** "-u" '],
  ['docker run --user 1000:1000 -u root x:y', 'docker run --user 1000:1000 -u root x:y'],
  ['tool -u https://host/x python -u a.py', 'tool -u https://host/x python -u a.py'],
  ['https://x.org/?n=1&token=abcd&key=z', 'https://x.org/?n=1&token=***&key=***'],
  ['https://a.net/c?sv=2020&sig=ab%3D', 'https://a.net/c?sv=2020&sig=***'],
  ['https://s3/x?X-Amz-Signature=ab&X-Amz-Date=1', 'https://s3/x?X-Amz-Signature=***&X-Amz-Date=1'],
  ['torch sig=3 signature=f(x)', 'torch sig=3 signature=f(x)'],
  ['an unclosed password="abc', 'an unclosed password=***'],
  ["KeyError: 'weight'", "KeyError: 'weight'"],
  ['Missing key(s) in state_dict: "fc.weight"', 'Missing key(s) in state_dict: "fc.weight"'],
  ['key = batch["token"]', 'key = batch["token"]'],
  ['loss: 0.4 tokens: 12 token=5', 'loss: 0.4 tokens: 12 token=5'],
];
for (const [text, masked] of texts) test(`${text} → ${masked}`, () => assert.equal(maskText(text), masked));

test('masking twice changes nothing more', () => {
  for (const [, masked] of texts) assert.equal(maskText(masked), masked);
});

test('time grows with the length, not with its square', () => {
  const nasty = [
    'a.',
    '://',
    'password="',
    'password=',
    '--token ',
    'hf_',
    'Bearer ',
    'api_key : ',
    'x://y@',
    '"api_key',
    '-u a',
    '-u a:',
    '--user=',
    '?sig=',
    'Authorization: Basic ',
  ];
  for (const piece of nasty) {
    const time = (bytes: number): number => {
      const text = piece.repeat(bytes / piece.length);
      const start = performance.now();
      maskText(text);
      return performance.now() - start;
    };
    time(10_000);
    // twenty times the text; a quadratic one takes 400 times as long, minutes here
    const [short, long] = [Math.max(time(50_000), 5), time(1_000_000)];
    assert.ok(long < short * 120, `${JSON.stringify(piece)}: ${short} ms, then ${long} ms`);
  }
});
