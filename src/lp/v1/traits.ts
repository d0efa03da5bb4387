/**
 * What version 1 can do (lp1.md §1.1, §2, §9): registrations and forwards, one packet per connection, and nothing that is
 * post-quantum. Messages have no ids, so none may be repeated (§7.5, §6.3).
 */
import type { VersionTraits } from '../client-session.ts';
import { KIND } from '../wire/application-frame.ts';

export const TRAITS_V1: VersionTraits = {
  maxEarlyFrameLength: 0,
  requestKinds: [KIND.registrationRequest, KIND.forward],
  managesRegistrations: false,
  toleratesRepeats: false,
  framing: 'be32',
  onePacketPerConnection: true,
  kemSuites: [],
};
