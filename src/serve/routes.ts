import { Hono } from 'hono';

/** What answers the requests of one method on one path. */
export interface Route<C> {
  readonly method: string;
  /** With `{name}` where a value stands. */
  readonly path: string;
  readonly respond: (request: Request, path: Readonly<Record<string, string>>, extra: C) => Promise<Response>;
}

/**
 * Finds the route of a request. HEAD is answered as GET is, without the body.
 * @param otherwise answers what has no route
 */
export function findRoutes<C>(
  routes: readonly Route<C>[],
  otherwise: (request: Request) => Promise<Response>,
): (request: Request, extra: C) => Promise<Response> {
  const app = new Hono<{ Bindings: { extra: C } }>();
  for (const { method, path, respond } of routes) {
    app.on(method, path.replace(/\{(\w+)\}/g, ':$1'), (c) => respond(c.req.raw, c.req.param(), c.env.extra));
  }
  app.notFound((c) => otherwise(c.req.raw));
  app.onError((error) => {
    throw error;
  });
  return async (request, extra) => await app.fetch(request, { extra });
}
