/** The client in its namespace: registers with entry and exit through the library, and talks through what is then there. */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { freshEnrolment } from '../../../src/cli/enrolment.ts';
import {
  type AnswerBody,
  type Client,
  connect,
  fileTokenSource,
  type RegisterRequest,
} from '../../../src/client/index.ts';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { serve } from '../agent.ts';
import { DIGEST_LENGTH, ECHO_PORT, STREAM_PORT } from '../stream.ts';

type HopName = 'entry' | 'exit';

interface RegisterQuestion {
  readonly entry: { readonly address: string; readonly identity: string };
  readonly exit: { readonly address: string; readonly identity: string };
  readonly tokenFile: string;
}

/** What the client has of a registration: its own secrets, and the answer. */
export interface ClientRegistration {
  readonly secretKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly owner: Uint8Array;
  readonly answer: AnswerBody | undefined;
}

const hops = new Map<HopName, { readonly client: Client; readonly request: RegisterRequest }>();

const jobs = {
  /** One handshake with each, the exit's through the entry; a token for each. */
  async register({ entry, exit, tokenFile }: RegisterQuestion): Promise<Record<HopName, ClientRegistration>> {
    const crypto = await loadProvider('auto');
    const own = { entry: freshEnrolment(crypto, systemRandom), exit: freshEnrolment(crypto, systemRandom) };
    const request = (hop: HopName): RegisterRequest => {
      const { mode, wgPublicKey, presharedKey, owner } = own[hop];
      return { mode, wgPublicKey, presharedKey, owner };
    };
    const client = await connect({
      gateway: { ...exit, register: request('exit') },
      via: { ...entry, register: request('entry') },
      tokenSource: fileTokenSource(tokenFile),
    });
    if (client.entry === undefined) throw new Error('the exit is reached through an entry');
    hops.set('exit', { client, request: request('exit') });
    hops.set('entry', { client: client.entry, request: request('entry') });
    const shown = (hop: HopName, answer: AnswerBody | undefined): ClientRegistration => {
      const { secretKey, presharedKey, owner } = own[hop];
      return { secretKey, presharedKey, owner, answer };
    };
    return { entry: shown('entry', client.entry.registration), exit: shown('exit', client.registration) };
  },

  balance(hop: HopName): Promise<AnswerBody> {
    const { client, request } = at(hop);
    return client.balance(nameOf(request));
  },

  /** Pays with the next token of the file. */
  topup(hop: HopName): Promise<AnswerBody> {
    const { client, request } = at(hop);
    return client.topup(nameOf(request));
  },

  /** Milliseconds until a datagram is back; undefined if it is not. One is sent every 200 ms. */
  async ping({ host, withinMs }: { readonly host: string; readonly withinMs: number }): Promise<number | undefined> {
    using scope = new DisposableStack();
    const socket = scope.adopt(createSocket(host.includes(':') ? 'udp6' : 'udp4'), (each) => each.close());
    const name = randomBytes(16);
    const started = performance.now();
    const back = Promise.withResolvers<number | undefined>();
    socket.on('message', (message) => name.equals(message) && back.resolve(Math.round(performance.now() - started)));
    // Without a route it is an error here and no datagram.
    const send = () => socket.send(name, ECHO_PORT, host, () => undefined);
    send();
    scope.adopt(setInterval(send, 200), clearInterval);
    scope.adopt(
      setTimeout(() => back.resolve(undefined), withinMs),
      clearTimeout,
    );
    return await back.promise;
  },

  /** Milliseconds; undefined when the connection was silent for too long. */
  async download({ host, bytes, silentMs }: DownloadQuestion): Promise<number | undefined> {
    const started = performance.now();
    const socket = connectTcp({ host, port: STREAM_PORT });
    const silent = { is: false };
    socket.setTimeout(silentMs, () => {
      silent.is = true;
      socket.destroy();
    });
    socket.write(`${bytes}\n`);
    const hash = createHash('sha256');
    let left = bytes;
    const digest: Buffer[] = [];
    socket.on('data', (piece: Buffer) => {
      hash.update(piece.subarray(0, left));
      if (piece.length > left) digest.push(piece.subarray(left));
      left = Math.max(0, left - piece.length);
    });
    await once(socket, 'close');
    if (silent.is) return undefined;
    const told = Buffer.concat(digest);
    if (told.length !== DIGEST_LENGTH || !told.equals(hash.digest())) throw new Error('what came is not what was sent');
    return Math.round(performance.now() - started);
  },
};

interface DownloadQuestion {
  readonly host: string;
  readonly bytes: number;
  readonly silentMs: number;
}

export type ClientJobs = typeof jobs;

function at(hop: HopName) {
  const found = hops.get(hop);
  if (found === undefined) throw new Error('nothing is registered yet');
  return found;
}

function nameOf(request: RegisterRequest) {
  if (request.mode !== 'dvpn') throw new Error('tunnels are of mode dvpn');
  return { mode: request.mode, wgPublicKey: request.wgPublicKey, owner: request.owner };
}

serve(jobs);
