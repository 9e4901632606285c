import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as trainguard from '../../src/index.js';
import { exported, reached } from '../support/declarations.js';

// What the package promises. To export something is to keep it: think twice, then add it here.

const values = [
  'RecoveryManager',
  'RecursiveTrainingRecovery',
  'UnknownWorkerError',
  'DamagedCheckpointsError',
  'classify',
  'parseHeartbeats',
];

const types = [
  'Autopsy',
  'Beat',
  'BeatAnswer',
  'CheckpointsTable',
  'Duration',
  'Evidence',
  'Exit',
  'Failure',
  'FailureKind',
  'FailureRule',
  'FindPattern',
  'HealthFinding',
  'Heartbeat',
  'HostFacts',
  'LogTail',
  'Phase',
  'RecoveryContext',
  'RecoveryDecision',
  'RecoveryEvent',
  'RecoveryEventMap',
  'RecoveryFailure',
  'RecoveryKind',
  'RecoveryManagerOptions',
  'RecoveryRule',
  'RecoveryStatus',
  'RecoveryStrategies',
  'RecoveryStrategy',
  'RecursiveRecoveryEvent',
  'RecursiveTrainingRecoveryConfig',
  'ResourceCheck',
  'SavedCheckpoint',
  'WorkerBeat',
  'WorkerLimits',
  'WorkerState',
  'WorkerStatus',
];

test('the values that the package exports are these', () => {
  assert.deepEqual(Object.keys(trainguard).sort(), values.toSorted());
  assert.deepEqual(names(true), values.toSorted());
});

test('the types that the package exports are these', () => {
  assert.deepEqual(names(false), types.toSorted());
});

const names = (isValue: boolean): string[] =>
  exported()
    .filter((one) => one.isValue === isValue)
    .map(({ name }) => name)
    .sort();

test('its declarations use nothing but each other and Node: no dependency shows', () => {
  const files = reached();
  assert.ok(files.size > 3, [...files.keys()].join(' '));
  const foreign = [...files].flatMap(([file, specifiers]) =>
    specifiers
      .filter((one) => !one.startsWith('.') && !one.startsWith('node:') && one !== 'node')
      .map((one) => `${file} uses ${one}`),
  );
  assert.deepEqual(foreign, []);
});
