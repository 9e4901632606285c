import type { Answer } from './answer.js';

const always = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/**
 * @param headOnly its body is not sent
 * @param cutOff what to do where a stream fails after its answer has begun
 */
export async function toResponse(
  { status, headers, body, stream, close }: Answer,
  headOnly: boolean,
  cutOff: (error: unknown) => void,
): Promise<Response> {
  if (stream) {
    const init = { status, headers: { ...always, ...headers } };
    if (!headOnly) return new Response(readable(stream, close, cutOff), init);
    await close?.();
    return new Response(null, init);
  }
  if (body === undefined) return new Response(null, { status, headers: { ...always, ...headers } });
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...always, 'content-type': 'application/json', ...headers },
  });
}

function readable(
  stream: AsyncIterable<Uint8Array>,
  close: Answer['close'],
  cutOff: (error: unknown) => void,
): ReadableStream {
  const chunks = stream[Symbol.asyncIterator]();
  let left = false;
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const one = await chunks.next();
          if (left) return;
          if (one.done) controller.close();
          else controller.enqueue(one.value);
        } catch (error) {
          if (left) return;
          cutOff(error);
          controller.error(error);
        }
      },
      async cancel() {
        left = true;
        await chunks.return?.();
        await close?.();
      },
    },
    { highWaterMark: 0 },
  );
}
