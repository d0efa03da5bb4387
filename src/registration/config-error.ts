/** What the operator configured and cannot work. Thrown while the registrar is made, never afterwards (registration.md). */
export type RegistrationConfigCode =
  | 'POOL_UNREADABLE'
  | 'POOL_HOST_BITS'
  | 'POOL_SIZE'
  | 'POOL_NOT_UNICAST'
  | 'POOL_GATEWAY'
  | 'ENDPOINT_INVALID'
  | 'OPTION_RANGE'
  | 'WIREGUARD_KEY';

export class RegistrationConfigError extends Error {
  readonly code: RegistrationConfigCode;

  constructor(code: RegistrationConfigCode, message: string) {
    super(message);
    this.name = 'RegistrationConfigError';
    this.code = code;
  }
}
