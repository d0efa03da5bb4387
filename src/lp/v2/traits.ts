/** What version 2 can do (lp2.md §4, §5), for drivers of either side's client. */
import type { VersionTraits } from '../client-session.ts';
import { KIND } from '../wire/application-frame.ts';
import { MAX_EARLY_FRAME_LENGTH } from './initiator.ts';

export const TRAITS_V2: VersionTraits = {
  maxEarlyFrameLength: MAX_EARLY_FRAME_LENGTH,
  requestKinds: [KIND.opaque, KIND.registrationRequest, KIND.forward],
  managesRegistrations: true,
  toleratesRepeats: true,
  framing: 'be16',
  onePacketPerConnection: false,
  kemSuites: ['x-wing', 'ml-kem-768'],
};
