import type { Answer } from './answer.js';
import type { Endpoint } from './endpoint.js';
import { problem } from './problem.js';

interface Known {
  readonly path: RegExp;
  readonly allow: string;
}

/** Answers what no endpoint takes: OPTIONS tells the methods of a path, other methods are 405, other paths 404. */
export function unrouted(endpoints: readonly Endpoint[]): (method: string, path: string) => Answer {
  const known = [...new Set(endpoints.map(({ path }) => path))].map((path) => knownPath(path, endpoints));
  return (method, path) => {
    const found = known.find((one) => one.path.test(path));
    if (!found) {
      return problem(
        404,
        `There is nothing at ${JSON.stringify(path.slice(0, 80))}; GET /openapi.json lists what there is.`,
      );
    }
    const { allow } = found;
    if (method === 'OPTIONS') return { status: 204, headers: { allow } };
    return problem(405, `${method.slice(0, 20)} is not for this path; use ${allow}.`, { allow });
  };
}

function knownPath(path: string, endpoints: readonly Endpoint[]): Known {
  const methods = endpoints.filter((one) => one.path === path).map(({ method }) => method);
  const withHead = methods.includes('GET') ? ['HEAD', ...methods] : methods;
  return {
    path: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
    allow: [...withHead, 'OPTIONS'].sort().join(', '),
  };
}
