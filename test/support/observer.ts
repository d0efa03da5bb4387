/**
 * An attacker who has seen a ClientHello (lp2.md §4, models/README.md -DOBS): builds H1 of his own that read, finishes
 * them with his own keys, and forges Error 4. Whoever has not seen it can only build H1 that do not read.
 */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { handshakePrologue, handshakePsk } from '../../src/lp/v2/key-schedule.ts';
import { XkInitiator } from '../../src/lp/v2/noise-xk.ts';
import { concat } from '../../src/lp/wire/bytes.ts';
import { encodeErrorPacket } from '../../src/lp/wire/message.ts';
import { contentOf, encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import type { Prng } from './prng.ts';

export class Observer {
  private readonly crypto: CryptoProvider;
  private readonly prng: Prng;
  private readonly gatewayEd25519: Uint8Array;
  private readonly key: KemAnnouncement;
  private readonly helloContent: Uint8Array;
  private readonly index: number;
  private readonly seed: Uint8Array;
  private readonly runs: { noise: XkInitiator; psk: Uint8Array; finished: boolean }[] = [];

  constructor(crypto: CryptoProvider, prng: Prng, gatewayEd25519: Uint8Array, key: KemAnnouncement, hello: Uint8Array) {
    this.crypto = crypto;
    this.prng = prng;
    this.gatewayEd25519 = gatewayEd25519;
    this.key = key;
    this.helloContent = contentOf(hello).slice();
    this.index = new DataView(hello.buffer, hello.byteOffset).getUint32(18, true);
    this.seed = prng.bytes(32);
  }

  get built(): number {
    return this.runs.length;
  }

  validH1(): Uint8Array {
    const { crypto, prng, key, helloContent } = this;
    const kem = crypto.kems[key.kem];
    const { ciphertext, sharedSecret } = kem.encapsulate(key.publicKey, prng.source())!;
    const prologue = handshakePrologue(crypto, helloContent, this.gatewayEd25519, key);
    const gatewayX25519 = crypto.x25519PublicOfEd25519(this.gatewayEd25519)!;
    const secret = crypto.x25519SecretOfEd25519(this.seed);
    const noise = new XkInitiator(crypto, prologue, secret, gatewayX25519, prng.bytes(32));
    const psk = handshakePsk(crypto, sharedSecret, key.publicKeyHash, ciphertext, helloContent.subarray(68));
    const content = concat(Uint8Array.of(kem.id), key.keyId, noise.writeMessage1(ciphertext)!);
    this.runs.push({ noise, psk, finished: false });
    return encodeUnsealed(this.index, 1, TYPE.handshake, content);
  }

  /** Right suite and key, the rest is noise. */
  garbageH1(): Uint8Array {
    const kem = this.crypto.kems[this.key.kem];
    const content = concat(Uint8Array.of(kem.id), this.key.keyId, this.prng.bytes(48 + kem.ciphertextLength));
    return encodeUnsealed(this.index, 1, TYPE.handshake, content);
  }

  forgedError4(unixMs: number): Uint8Array {
    return encodeErrorPacket(this.index, { code: 4, gatewayUnixMs: unixMs, minVersion: 2, maxVersion: 2 });
  }

  /** The H3 to an H2 that is the observer's own. */
  h3For(h2: Uint8Array): Uint8Array | undefined {
    for (const run of this.runs) {
      if (run.finished || run.noise.readMessage2(contentOf(h2), run.psk, () => true) === undefined) continue;
      run.finished = true;
      const message = run.noise.writeMessage3(this.crypto.ed25519PublicKey(this.seed))!;
      return encodeUnsealed(this.index, 2, TYPE.handshake, message);
    }
    return undefined;
  }
}
