import { endpoint } from '../endpoint.js';

export const documentEndpoint = endpoint({
  method: 'GET',
  path: '/openapi.json',
  id: 'openapi',
  summary: 'This document',
  answers: { 200: { description: 'OpenAPI 3.1.' } },
  handle: ({ document }) => ({ status: 200, body: document() }),
});
