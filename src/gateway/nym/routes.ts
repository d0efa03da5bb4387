/**
 * The node's self-description as the Nym network asks for it (nym.md §3.2). It is public and signed; the operator decides
 * who reaches the admin port that serves it, or passes this one path on.
 */
import type { FastifyPluginAsync } from 'fastify';

export const ANNOUNCEMENT_PATH = '/api/v1/lewes-protocol';

/** `announcement` is `undefined` where there is none yet, or Nym is not spoken: that is a 404. */
export function nymRoutes(announcement: () => string | undefined): FastifyPluginAsync {
  return async (server) => {
    server.get(ANNOUNCEMENT_PATH, async (_request, reply) => {
      const document = announcement();
      if (document === undefined) return reply.code(404).send({ message: 'this gateway does not speak Nym' });
      return reply.type('application/json; charset=utf-8').send(document);
    });
  };
}
