/**
 * What is checked of nym.json, by section and by role. Each check runs with an account of its own of what it has read, so that
 * a section that nobody reads, or that one role leaves out, shows.
 */
import type { ExecutionContext } from 'ava';
import type { NymCrypto } from '../../../../src/lp/crypto/nym-provider.ts';
import type { VectorReader } from '../../../support/vectors.ts';
import { checkFrames, checkNested } from './frames.ts';
import { checkClient, checkMaterial, checkNode, checkPipelined, checkSessionId, checkSizes } from './handshakes.ts';
import { HOPS } from './inputs.ts';
import {
  checkAnnouncementCases,
  checkBodies,
  checkForwards,
  checkKktRequests,
  checkKktResponses,
  checkMessages1,
  checkMessages2,
  checkPackets,
  checkTimestamps,
} from './refusals.ts';
import { checkAnnouncements, checkExchange, checkRequests, checkResponses } from './registration.ts';

/** `both`: one check has either side's part in it. */
export type CheckRole = 'initiator' | 'responder' | 'both';

export interface VectorCheck {
  readonly title: string;
  /** Paths whose values it is there for. */
  readonly sections: readonly string[];
  readonly role: CheckRole;
  run(t: ExecutionContext, v: VectorReader, crypto: NymCrypto): void;
}

const CASES = 'accept_or_refuse';

const handshakes = HOPS.flatMap(({ name, path, hop }): VectorCheck[] => [
  {
    title: `the initiator writes the handshake of the vectors, ${name}`,
    sections: [path],
    role: 'initiator',
    run(t, v, crypto) {
      checkMaterial(t, v.under(path), crypto, name);
      checkClient(t, v.under(path), crypto, hop);
      checkPipelined(t, v.under(path), crypto, hop);
      checkSessionId(t, v.under(path), crypto);
    },
  },
  {
    title: `the responder writes the handshake of the vectors, ${name}`,
    sections: [path],
    role: 'responder',
    run: (t, v, crypto) => checkNode(t, v.under(path), crypto),
  },
]);

export const CHECKS: readonly VectorCheck[] = [
  {
    title: 'sizes and tags are those of the vectors',
    sections: ['sizes_and_tags'],
    role: 'both',
    run: checkSizes,
  },
  ...handshakes,
  {
    title: 'frames of every size and kind have the wire of the vectors',
    sections: ['transport_frames'],
    role: 'both',
    run: (t, v, crypto) => checkFrames(t, v, crypto, 'transport_frames.frames', 'transport_frames.session'),
  },
  {
    title: 'a registration has the frames and bodies of the vectors at both ends',
    sections: ['registration_exchange', 'registration_bodies'],
    role: 'both',
    run(t, v, crypto) {
      checkFrames(t, v, crypto, 'registration_exchange.frames', 'registration_exchange.session');
      checkRequests(t, v);
      checkExchange(t, v, crypto);
      checkResponses(t, v, crypto);
    },
  },
  {
    title: "the exit's handshake and registration inside forwards have the wires of the vectors",
    sections: ['nested_through_forward'],
    role: 'both',
    run(t, v, crypto) {
      const [outer, inner] = ['nested_through_forward.outer', 'nested_through_forward.inner'];
      checkFrames(t, v, crypto, `${outer}_frames`, `${outer}_session`);
      checkFrames(t, v, crypto, `${inner}_frames`, `${inner}_session`);
      checkNested(t, v, crypto);
    },
  },
  {
    title: 'announcements are read, verified and written as in the vectors',
    sections: ['announcement', `${CASES}.announcements`],
    role: 'both',
    run(t, v, crypto) {
      checkAnnouncements(t, v, crypto);
      checkAnnouncementCases(t, v.under(CASES), crypto);
    },
  },
  {
    title: 'the node takes or refuses KKT requests and messages 1 as the vectors require',
    sections: [`${CASES}.kkt_requests`, `${CASES}.messages_1`],
    role: 'responder',
    run(t, v, crypto) {
      checkKktRequests(t, v.under(CASES), crypto);
      checkMessages1(t, v.under(CASES), crypto);
    },
  },
  {
    title: 'the client takes or refuses KKT responses and messages 2 as the vectors require',
    sections: [`${CASES}.kkt_responses`, `${CASES}.messages_2`],
    role: 'initiator',
    run(t, v, crypto) {
      checkKktResponses(t, v.under(CASES), crypto);
      checkMessages2(t, v.under(CASES), crypto);
    },
  },
  {
    title: 'packets are taken or refused in the order and with the state that the vectors require',
    sections: [`${CASES}.packets`],
    role: 'both',
    run: (t, v, crypto) => checkPackets(t, v.under(CASES), crypto),
  },
  {
    title: 'bodies, times and forwards are taken or refused as the vectors require',
    sections: ['registration_requests', 'registration_responses', 'timestamps', 'forward_requests'].map(
      (section) => `${CASES}.${section}`,
    ),
    role: 'both',
    run(t, v) {
      checkBodies(t, v.under(CASES));
      checkTimestamps(t, v.under(CASES));
      checkForwards(t, v.under(CASES));
    },
  },
];

/** Texts for readers. */
export const PROSE = ['about', 'how_to_read', `${CASES}.about`] as const;
