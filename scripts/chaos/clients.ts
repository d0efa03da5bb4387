/**
 * Clients that echo: over a session that lasts, with a handshake each time, with rekeyings, and through an entry to an exit.
 * Every echo carries the sender's mark and fresh random bytes; an answer that is not these very bytes went to the wrong client.
 */
import { randomBytes } from 'node:crypto';
import { type Client, type ConnectOptions, connect, LewesError } from '../../src/client/index.ts';
import { Patient, type PatientParts } from './patient.ts';

const MARK_BYTES = 12;
const MAX_PAYLOAD_BYTES = 1_200;
const MAX_ECHOES = 4;
/** A gateway takes no rekeying sooner after the last one. */
const REKEY_EVERY_MS = 11_000;

/** Who sent what, for the message about an answer that went astray. */
export class Marks {
  readonly #owners = new Map<string, string>();

  of(owner: string): Buffer {
    const mark = randomBytes(MARK_BYTES);
    this.#owners.set(mark.toString('hex'), owner);
    return mark;
  }

  ownerOf(payload: Uint8Array): string {
    return this.#owners.get(Buffer.from(payload.subarray(0, MARK_BYTES)).toString('hex')) ?? 'nobody';
  }
}

export interface EchoParts extends PatientParts {
  readonly marks: Marks;
  readonly options: ConnectOptions;
}

/** A client that is made when it is needed and told of its losses. */
export class Connected {
  readonly #options: ConnectOptions;
  readonly #disturbed: () => void;
  #client: Client | undefined;

  constructor(options: ConnectOptions, disturbed: () => void) {
    this.#options = options;
    this.#disturbed = disturbed;
  }

  async client(): Promise<Client> {
    if (this.#client !== undefined) return this.#client;
    const client = await connect(this.#options);
    this.#client = client;
    for (const each of [client, client.entry]) each?.events.on('lost', () => this.#disturbed());
    void client.closed.then(() => {
      this.#client = undefined;
    });
    return client;
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }
}

/** `echoes` at once, over one session; `isDone` afterwards. */
abstract class EchoPatient extends Patient {
  protected override readonly parts: EchoParts;
  readonly #mark: Buffer;

  constructor(name: string, parts: EchoParts) {
    super(name, parts);
    this.parts = parts;
    this.#mark = parts.marks.of(name);
  }

  protected async echo(client: Client): Promise<void> {
    const payload = Buffer.concat([this.#mark, randomBytes(4 + Math.floor(Math.random() * MAX_PAYLOAD_BYTES))]);
    const answer = await client.echo(payload);
    if (payload.equals(answer)) return;
    const { marks, violations } = this.parts;
    violations.tell(`${this.record.name} got an answer that is not its own (of ${marks.ownerOf(answer)})`);
  }
}

export class EchoClient extends EchoPatient {
  protected override readonly paceMs: number = 60;
  protected readonly connected: Connected;

  constructor(name: string, parts: EchoParts) {
    super(name, parts);
    this.connected = new Connected(parts.options, () => this.record.disturbed(performance.now()));
  }

  protected override async act(): Promise<void> {
    const client = await this.connected.client();
    const echoes = 1 + Math.floor(Math.random() * MAX_ECHOES);
    // All of them are over before the next act, whichever fails.
    const results = await Promise.allSettled(Array.from({ length: echoes }, () => this.echo(client)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  protected override close(): Promise<void> {
    return this.connected.close();
  }
}

export class RekeyingClient extends EchoClient {
  #rekeyAtMs = performance.now() + Math.random() * REKEY_EVERY_MS;

  protected override async act(): Promise<void> {
    await super.act();
    if (performance.now() < this.#rekeyAtMs) return;
    this.#rekeyAtMs = performance.now() + REKEY_EVERY_MS;
    try {
      await (await this.connected.client()).rekey();
    } catch (error) {
      // The gateway asks for rekeyings, too, and takes none soon after one.
      if (!(error instanceof LewesError) || error.code !== 'rekey_refused') throw error;
    }
  }
}

/** Through the entry; with every third act the entry itself is asked. */
export class TwoHopClient extends EchoClient {
  protected override readonly paceMs = 120;
  #acts = 0;

  protected override async act(): Promise<void> {
    await super.act();
    const { entry } = await this.connected.client();
    if (++this.#acts % 3 === 0 && entry !== undefined) await this.echo(entry);
  }
}

export class HandshakeClient extends EchoPatient {
  protected override readonly paceMs = 150;

  protected override async act(): Promise<void> {
    await using client = await connect(this.parts.options);
    await this.echo(client);
  }

  protected override close(): Promise<void> {
    return Promise.resolve();
  }
}
