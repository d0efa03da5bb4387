/**
 * The package's public entry: a client of the Lewes Protocol, versions 1 and 2, and of Nym nodes as deployed. Everything a user needs is exported here;
 * other paths of the package are its own affair.
 */
export type { ProtocolVersion } from '../lp/client-handshake.ts';
export type { CryptoProvider, KemName } from '../lp/crypto/provider.ts';
export { type ApplicationFrame, KIND } from '../lp/wire/application-frame.ts';
export type {
  AnswerBody,
  Credential,
  Enrolment,
  Price,
  RegistrationCode,
  RegistrationMode,
  RegistrationName,
  TunnelAddresses,
} from '../lp/wire/registration-body.ts';
export type { Client, ClientEvents, ForwardAnswer, RequestSettings, TopupSettings } from './client.ts';
export { connect } from './connect.ts';
export { type Hop, LewesError, type LewesErrorCode, type NymStep, type Step } from './errors.ts';
export type { ForwardStatusName } from './explain.ts';
export { type CachedKemKey, type KemKeyCache, MemoryKemKeyCache } from './key-cache.ts';
export {
  NYM_ANNOUNCEMENT_PATH,
  NYM_HTTP_PORT,
  type NymAnnouncementOptions,
  nymNodeFromAnnouncement,
} from './nym/announcement-source.ts';
export {
  type NymHopOptions,
  type NymRegisterOptions,
  type NymRegistration,
  type NymRegistrations,
  type NymTrialResult,
  registerNym,
  tryNym,
} from './nym/client.ts';
export {
  fileCredentialSource,
  mockCredentialSource,
  type NymCredentialOutcome,
  type NymCredentialRequest,
  type NymCredentialSource,
} from './nym/credential-source.ts';
export { MemoryNymKemKeyCache, type NymKemKeyCache } from './nym/kem-key-cache.ts';
export { type NymNodeByHand, type NymNodeData, nymNodeByHand } from './nym/node-data.ts';
export type { NymExtent } from './nym/register.ts';
export type { NymStepEvent, NymTimeouts } from './nym/run.ts';
export type { ConnectOptions, GatewayOptions, StepEvent, Timeouts } from './options.ts';
export type { PaidRequest, RegisterRequest, StandingRequest } from './registration.ts';
export { TokenError, type TokenErrorCode } from './token-error.ts';
export { appendToken, type FileTokenSourceOptions, fileTokenSource } from './token-file.ts';
export { type HttpTokenSourceOptions, httpTokenSource, type TokenSource } from './token-source.ts';
