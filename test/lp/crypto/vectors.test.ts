import test from 'ava';
import { seededRandom } from '../../support/seeded-random.ts';
import { ascii, hex, PROVIDERS, type SuiteVector, toHex, VECTORS } from './providers.ts';

const { identity, inputs, primitives, suites } = VECTORS;

for (const provider of PROVIDERS) {
  const title = (fact: string) => `${provider.name}: ${fact}`;

  for (const [who, seedHex] of [
    ['client', inputs.client_ed25519_seed],
    ['gateway', inputs.gateway_ed25519_seed],
  ] as const) {
    test(title(`the ${who}'s identity converts as in the vectors`), (t) => {
      const seed = hex(seedHex);
      const expected = identity[who];
      const publicKey = provider.ed25519PublicKey(seed);
      const secret = provider.x25519SecretOfEd25519(seed);
      t.is(toHex(publicKey), expected.ed25519_public);
      t.is(toHex(secret), expected.x25519_secret_unclamped);
      t.is(toHex(provider.x25519PublicKey(secret)), expected.x25519_public);
      t.is(toHex(provider.x25519PublicOfEd25519(publicKey) ?? new Uint8Array()), expected.x25519_public);
      t.true(provider.convertsTo(publicKey, hex(expected.x25519_public)));
    });
  }

  test(title('the two identities agree on a DH result'), (t) => {
    const { client, gateway } = identity;
    t.deepEqual(
      provider.x25519(hex(client.x25519_secret_unclamped), hex(gateway.x25519_public)),
      provider.x25519(hex(gateway.x25519_secret_unclamped), hex(client.x25519_public)),
    );
  });

  test(title('BLAKE3 and KDF match the vectors'), (t) => {
    t.is(primitives.kdf_context_of_label_psk, 'lewes-protocol v2 psk');
    t.is(toHex(provider.blake3(ascii('abc'))), primitives.b3_of_abc);
    // Twice: the second call runs on the kept hasher.
    t.is(toHex(provider.kdf('psk', ascii('abc'))), primitives.kdf_label_psk_of_abc);
    t.is(toHex(provider.kdf('psk', ascii('abc'))), primitives.kdf_label_psk_of_abc);
  });

  for (const [name, suite] of [
    ['x-wing', suites.xwing],
    ['ml-kem-768', suites.mlkem768],
  ] as const) {
    const kem = provider.kems[name];
    const coinsOf = ({ encapsulation_coins_mlkem, encapsulation_x25519_ephemeral_secret }: SuiteVector) => [
      hex(encapsulation_coins_mlkem),
      hex(encapsulation_x25519_ephemeral_secret ?? ''),
    ];

    test(title(`${name} key pair of a seed matches the vectors`), (t) => {
      const secretKey = kem.secretKeyFromSeed(hex(suite.kem_key_seed));
      t.is(kem.id, suite.kem_id);
      t.is(toHex(secretKey.publicKey.bytes), suite.kem_public_key);
      t.is(toHex(provider.blake3(secretKey.publicKey.bytes)), suite.kem_public_key_b3);
      t.is(secretKey.publicKey.bytes.length, kem.publicKeyLength);
    });

    test(title(`${name} encapsulates with given coins and decapsulates as in the vectors`), (t) => {
      const publicKey = kem.importPublicKey(hex(suite.kem_public_key));
      const random = seededRandom(coinsOf(suite));
      const { ciphertext, sharedSecret } = kem.encapsulate(publicKey!, random)!;
      t.is(random.remaining, 0);
      t.is(toHex(ciphertext), suite.ciphertext);
      t.is(toHex(provider.blake3(ciphertext)), suite.ciphertext_b3);
      t.is(toHex(sharedSecret), suite.ss);
      const secretKey = kem.secretKeyFromSeed(hex(suite.kem_key_seed));
      t.is(toHex(secretKey.decapsulate(hex(suite.ciphertext))!), suite.ss);
    });

    test(title(`the gateway's signature over its ${name} key matches the vectors`), (t) => {
      const { body_after_public_key, signed_message_b3, signed_message_prefix, signature } = suite.kkt_response;
      const message = hex(signed_message_prefix + suite.kem_public_key + body_after_public_key);
      t.is(toHex(provider.blake3(message)), signed_message_b3);
      t.is(toHex(provider.ed25519Sign(hex(inputs.gateway_ed25519_seed), message)), signature);
      t.true(provider.ed25519Verify(hex(identity.gateway.ed25519_public), message, hex(signature)));
    });
  }

  test(title('SHA-256 of "abc" matches FIPS 180-4'), (t) => {
    const expected = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    t.is(toHex(provider.sha256(ascii('abc'))), expected);
  });

  test(title('HMAC-SHA256 matches RFC 4231 cases 1 and 2'), (t) => {
    t.is(
      toHex(provider.hmacSha256(new Uint8Array(20).fill(0x0b), ascii('Hi There'))),
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    );
    t.is(
      toHex(provider.hmacSha256(ascii('Jefe'), ascii('what do ya want for nothing?'))),
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  test(title('ChaCha20-Poly1305 matches RFC 8439 §2.8.2'), (t) => {
    const plaintext = ascii(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    );
    const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
    const sealed = new Uint8Array(plaintext.length + 16);
    provider.aeadSeal(sealed, plaintext, hex('50515253c0c1c2c3c4c5c6c7'), hex('070000004041424344454647'), key);
    t.is(toHex(sealed.subarray(0, 16)), 'd31a8d34648e60db7b86afbc53ef7ec2');
    t.is(toHex(sealed.subarray(-16)), '1ae10b594f09e26a7e902ecbd0600691');
  });

  test(title('X25519 matches RFC 7748 §5.2'), (t) => {
    const scalar = hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
    const u = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
    t.is(toHex(provider.x25519(scalar, u)!), 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552');
    const nine = Uint8Array.of(9, ...new Uint8Array(31));
    const iteratedOnce = '422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079';
    t.is(toHex(provider.x25519(nine, nine)!), iteratedOnce);
    t.is(toHex(provider.x25519PublicKey(nine)), iteratedOnce);
  });

  test(title('Ed25519 matches RFC 8032 §7.1 test 1'), (t) => {
    const seed = hex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
    const publicKey = provider.ed25519PublicKey(seed);
    const signature = provider.ed25519Sign(seed, new Uint8Array());
    t.is(toHex(publicKey), 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    t.is(
      toHex(signature),
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155' +
        '5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
    t.true(provider.ed25519Verify(publicKey, new Uint8Array(), signature));
  });
}
