/** What a person reads when a port cannot be listened on. */
export class ListenError extends Error {
  readonly code: string;
  readonly remedy: string;

  /** `option`: what says where to listen. */
  constructor(address: string, cause: NodeJS.ErrnoException, option = '--listen') {
    const [reason, remedy] = listenReason(cause, option);
    super(`cannot listen on ${address}: ${reason}`, { cause });
    this.code = cause.code ?? 'LISTEN_FAILED';
    this.remedy = remedy;
  }
}

/** What is wrong, and what to do. */
function listenReason(cause: NodeJS.ErrnoException, option: string): [string, string] {
  switch (cause.code) {
    case 'EADDRINUSE':
      return ['the port is in use', `stop the other program or choose another ${option}`];
    case 'EACCES':
      return ['not permitted', 'choose a port above 1023 or grant CAP_NET_BIND_SERVICE'];
    case 'EADDRNOTAVAIL':
      return ['no interface here has this address', `choose another ${option}`];
    default:
      return [cause.message, `choose another ${option}`];
  }
}
