/**
 * What shards cannot do themselves: registrations, forwards, and looking at all indices of the gateway. Each answer goes
 * through the mailbox to the same epoch of the shard that asked, or nowhere.
 */
import {
  decodeForward,
  encodeFailure,
  encodeForwardResponse,
  FAILURE_CODE,
  FORWARD_STATUS,
} from '../lp/wire/application-frame.ts';
import { readLe32 } from '../lp/wire/bytes.ts';
import { ANSWER, REQUEST } from '../shard/messages.ts';
import type { Admission } from './admission.ts';
import type { Forwarder } from './forward/forwarder.ts';
import type { RegistrarHost } from './registrar-host.ts';
import type { Router } from './router.ts';
import type { RequestOfShard, ShardHost } from './shard-host.ts';

export interface RequestDependencies {
  readonly host: (shard: number) => ShardHost;
  readonly router: Router;
  readonly admission: Admission;
  readonly forwarder: Forwarder;
  readonly registrar: RegistrarHost;
  /** False while it starts and drains: nothing is forwarded then. */
  readonly forwards: () => boolean;
}

/** Where an answer goes. */
type Asker = Pick<RequestOfShard, 'shard' | 'epoch' | 'key'>;

export class Requests {
  private readonly dependencies: RequestDependencies;

  constructor(dependencies: RequestDependencies) {
    this.dependencies = dependencies;
  }

  serve(request: RequestOfShard): void {
    // At once: the answer has to be in the mailbox before a packet that was held back for this very index.
    if (request.kind === REQUEST.index) this.answer(request, this.claimIndex(request));
    else if (request.kind === REQUEST.registration) void this.register(request);
    else this.forward(request);
  }

  private answer({ shard, epoch, key }: Asker, answer: { kind: number; body: Uint8Array }): void {
    const host = this.dependencies.host(shard);
    if (host.epoch === epoch) host.mailbox.answer(key, answer.kind, answer.body);
  }

  private claimIndex({ shard, body }: RequestOfShard): { kind: number; body: Uint8Array } {
    const granted = this.dependencies.router.claim(shard, readLe32(body, 0));
    return { kind: ANSWER.index, body: Uint8Array.of(granted ? 1 : 0) };
  }

  private forward(request: RequestOfShard): void {
    const { shard, epoch, key, family, kind } = request;
    const { forwarder, forwards } = this.dependencies;
    const forward = decodeForward(request.body);
    if (forward === undefined) throw new Error('a shard sent a forward that does not decode');
    const { target, replies, packets } = forward;
    // Without the request, whose body would hold the memory of its whole batch as long as the exit takes.
    const asker = { shard, epoch, key };
    const done = (body: Uint8Array) => this.answer(asker, { kind: ANSWER.forward, body });
    if (!forwards()) done(encodeForwardResponse({ status: FORWARD_STATUS.busy, packets: [] }));
    else forwarder.exchange({ target, replies, packets, family, alone: kind === REQUEST.forwardAlone }, done);
  }

  private async register(request: RequestOfShard): Promise<void> {
    const { family, sourceId, body } = request;
    const { admission, registrar } = this.dependencies;
    const source = admission.source(sourceId);
    if (source === undefined) {
      const failure = encodeFailure({ code: FAILURE_CODE.tryLater, text: 'try later' });
      this.answer(request, { kind: ANSWER.failure, body: failure });
      return;
    }
    const quotesAllowed = source.limits.quotes;
    const outcome = await registrar.handle({ body, source: source.key, family, quotesAllowed });
    const answer =
      outcome.kind === 'answer'
        ? { kind: ANSWER.registration, body: outcome.body }
        : { kind: ANSWER.failure, body: encodeFailure(outcome) };
    this.answer(request, answer);
  }
}
