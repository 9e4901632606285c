import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beforeNode } from '../../../src/util/os/open-files.js';

const raised = { soft: 4096, hard: 4096 };

test('the parent still has the limit that Node raised', () => {
  assert.equal(beforeNode(raised, { soft: 1024, hard: 4096 }), 1024);
});

test('nothing is changed unless all speaks for it', () => {
  assert.equal(beforeNode({ soft: 2048, hard: 4096 }, { soft: 1024, hard: 4096 }), undefined, 'not raised');
  assert.equal(beforeNode(raised, { soft: 1024, hard: 8192 }), undefined, 'limited on purpose since');
  assert.equal(beforeNode(raised, raised), undefined, 'no lower one is known');
  assert.equal(beforeNode(raised, undefined), undefined, 'the parent is gone');
  assert.equal(beforeNode(undefined, { soft: 1024, hard: 4096 }), undefined, 'no /proc');
});
