/**
 * The package's public entry: a client of the Lewes Protocol, versions 1 and 2. Everything a user needs is exported here;
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
export { type Hop, LewesError, type LewesErrorCode, type Step } from './errors.ts';
export type { ForwardStatusName } from './explain.ts';
export { type CachedKemKey, type KemKeyCache, MemoryKemKeyCache } from './key-cache.ts';
export type { ConnectOptions, GatewayOptions, StepEvent, Timeouts } from './options.ts';
export type { PaidRequest, RegisterRequest, StandingRequest } from './registration.ts';
export { TokenError, type TokenErrorCode } from './token-error.ts';
export { appendToken, type FileTokenSourceOptions, fileTokenSource } from './token-file.ts';
export { type HttpTokenSourceOptions, httpTokenSource, type TokenSource } from './token-source.ts';
