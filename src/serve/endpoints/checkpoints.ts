import path from 'node:path';
import { z } from '../../config/values.js';
import type { OpenCheckpoint, SaveProblem } from '../../recovery/json-checkpoints.js';
import { DamagedCheckpointsError } from '../../recovery/json-checkpoints-known.js';
import { form } from '../../recovery/json-checkpoints-names.js';
import type { Answer } from '../answer.js';
import { endpoint } from '../endpoint.js';
import { problem } from '../problem.js';
import { Checkpoint, SavedCheckpoint, workerId } from '../schemas.js';

const digestError =
  'must be sha-256=:…:, with the SHA-256 of the body in base64 between the colons (RFC 9530)';
const contentDigest = z
  .string()
  .regex(/^sha-256=:[A-Za-z0-9+/]{43}=:$/, { error: digestError })
  .meta({
    description: 'SHA-256 of the body: what was damaged on its way is refused.',
    examples: ['sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:'],
  })
  .optional();

const checkpointName = z
  .string()
  .regex(form, { error: "must be a checkpoint's file name" })
  .describe('Only those that are older than this one: `Trainguard-Checkpoint` of an earlier answer.')
  .optional();

export const checkpoints = [
  endpoint({
    method: 'POST',
    path: '/v1/workers/{workerId}/checkpoints',
    id: 'saveCheckpoint',
    summary: "Saves a worker's state; it is on disk when the answer comes",
    description: 'The worker need not be registered.',
    parameters: { workerId },
    headers: { 'content-digest': contentDigest },
    upload: true,
    once: true,
    answers: { 201: { description: 'It is on disk.', schema: SavedCheckpoint } },
    problems: {
      413: 'It is larger than the server takes.',
      422: 'Its SHA-256 is not the one that was named; or the Idempotency-Key was used for another body.',
    },
    async handle({ manager, limits }, { path, headers, upload }) {
      const digest = headers['content-digest'];
      const saved = await manager.checkpoints.saveStream(path.workerId, upload, {
        maxBytes: limits.checkpointBytes,
        ...(digest !== undefined && { sha256: Buffer.from(digest.slice(9, -1), 'base64').toString('hex') }),
      });
      if (!saved.ok) return refusal(saved.error);
      await manager.noteCheckpoint(path.workerId, saved.value);
      return { status: 201, body: saved.value };
    },
  }),
  endpoint({
    method: 'GET',
    path: '/v1/workers/{workerId}/checkpoints/latest',
    id: 'loadCheckpoint',
    summary: "A worker's newest checkpoint that is whole",
    parameters: { workerId },
    query: { before: checkpointName },
    answers: {
      200: {
        description: 'The state as it was saved.',
        schema: Checkpoint,
        headers: {
          'content-digest': 'SHA-256 of the body (RFC 9530).',
          'trainguard-checkpoint': "The file's name.",
          'trainguard-saved-at': 'Milliseconds since 1970.',
        },
      },
    },
    problems: {
      404: 'It has no checkpoint: `Trainguard-Checkpoint` is `none`.',
      409: 'It has checkpoints, and all of them are damaged.',
    },
    async handle({ manager }, { path: { workerId }, query: { before } }) {
      let found: OpenCheckpoint | null;
      try {
        found = await manager.checkpoints.open(workerId, before);
      } catch (error) {
        if (error instanceof DamagedCheckpointsError) return problem(409, error.message);
        throw error;
      }
      if (!found) {
        const older = before === undefined ? '' : ` older than ${before}`;
        const text = `Worker ${workerId} has no checkpoint${older}; begin anew.`;
        return problem(404, text, { 'trainguard-checkpoint': 'none' });
      }
      const { checkpoint, bytes } = found;
      return {
        status: 200,
        headers: {
          'content-type': 'application/json',
          'content-length': String(checkpoint.bytes),
          'content-digest': `sha-256=:${Buffer.from(checkpoint.sha256, 'hex').toString('base64')}:`,
          'trainguard-checkpoint': path.basename(checkpoint.path),
          'trainguard-saved-at': String(checkpoint.savedAt),
        },
        stream: bytes,
        close: () => found.close(),
      };
    },
  }),
];

const statuses = { 'too-large': 413, 'not-json': 400, digest: 422, disk: 507 } as const;

const refusal = ({ type, message }: SaveProblem): Answer => problem(statuses[type], message);
