/** Tokens, where they are spent and where they are issued (RFC 9578; registration.md, rules 2 and 7). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlindKey, blindSign, parseBlindKey } from '../../../src/issuer/blind-key.ts';
import { newAccessKey, Quota, quotaEntry } from '../../../src/issuer/quota.ts';
import { PRIVACY_PASS, TOKEN_LENGTH } from '../../../src/lp/wire/privacy-pass.ts';
import { createPrivacyPass } from '../../../src/registration/credentials/privacy-pass.ts';
import { createMemoryStore } from '../../../src/registration/store/memory.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { RFC_9578_ISSUER_KEY } from '../../../test/issuer/rfc9578.ts';
import { mintToken } from '../../../test/support/mint.ts';
import { INPUTS, Inputs, inputsOf, type Pair, withBit, withPart } from '../pair.ts';

const NOW = 1_764_583_200;
const MODULUS_LENGTH = 256;
const STORED_TOKENS = 10_000;

export function tokenPairs(): Pair[] {
  const key = parseBlindKey(Buffer.from(RFC_9578_ISSUER_KEY));
  if (key === undefined) throw new Error('the published key of RFC 9578 is a blind one');
  return [signature(key), spent(), ...accessKeys(), blindedMessage(key)];
}

function random(length: number): Uint8Array {
  const out = new Uint8Array(length);
  systemRandom.fill(out);
  return out;
}

function signature(key: BlindKey): Pair {
  const verifier = createPrivacyPass({
    issuerName: 'issuer.example',
    originInfo: 'origin.example',
    keys: [{ spki: key.spki }],
    price: { tokens: 1, bandwidth: 1, lifetime: 1 },
  });
  const tokens = inputsOf(() => mintToken(key, verifier.challenge));
  const at = TOKEN_LENGTH - MODULUS_LENGTH;
  const inputs = new Inputs([
    tokens.map((token) => withBit(token, -1)),
    tokens.map((token) => withPart(token, at + 1, random(MODULUS_LENGTH - 1))),
  ]);
  const credential = { kind: PRIVACY_PASS, token: inputs.scratch };
  return {
    name: 'token-signature',
    kind: 'secret',
    classes: ['token with one bit of its signature wrong', 'with a random signature'],
    learns: 'how near a forged signature is; it is checked by a public key, so there is no secret to be had',
    prepare: (of) => inputs.load(of),
    run: () => verifier.verify(credential, NOW),
  };
}

function spent(): Pair {
  const store = createMemoryStore({ maxRegistrations: 1, maxTokens: 2 * STORED_TOKENS });
  const payer = 'dvpn:payer';
  const known = inputsOf(() => random(32), STORED_TOKENS);
  const spend = (id: Uint8Array) => store.transaction((tx) => tx.spend({ id, payer, keepUntil: NOW }));
  const ready = Promise.all(known.map(spend));
  let id = known[0] ?? random(32);
  let fresh = false;
  let undo: Promise<unknown> = ready;
  return {
    name: 'token-spent',
    kind: 'public',
    classes: ['a token that was spent', 'one that was not'],
    learns: 'whether a token was spent, which the answer says as well; only who has a good token is told',
    prepare(of) {
      const before = id;
      if (fresh) undo = store.transaction((tx) => tx.unspend(before));
      fresh = of === 1;
      id = of === 0 ? (known[Math.floor(Math.random() * INPUTS)] ?? id) : random(32);
    },
    run: () => undefined,
    async runAsync() {
      await undo;
      await spend(id);
    },
    close: () => void store.close(),
  };
}

function accessKeys(): Pair[] {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-timing-'));
  const file = join(directory, 'quota.toml');
  const known = Array.from({ length: 256 }, newAccessKey);
  writeFileSync(file, known.map((accessKey) => quotaEntry(accessKey, 10)).join('\n'));
  const quota = new Quota({ file, usedFile: join(directory, 'issued.json'), report: () => undefined });
  const near = known.map((accessKey) => `${accessKey.slice(0, -2)}${accessKey.endsWith('AA') ? 'BB' : 'AA'}`);
  const far = known.map(() => newAccessKey());
  const lookUp = (classes: readonly [readonly string[], readonly string[]]) => {
    let asked = '';
    return {
      prepare: (of: 0 | 1) => {
        // A string of its own each time, so that none has a hash that was computed before.
        asked = Buffer.from(classes[of][Math.floor(Math.random() * INPUTS)] ?? '').toString('latin1');
      },
      run: () => quota.left(asked),
    };
  };
  return [
    {
      name: 'access-key-near',
      kind: 'secret',
      classes: ['unknown, but for its end one that is known', 'unknown and like no other'],
      learns: 'how much of a guessed access key is right',
      ...lookUp([near, far]),
    },
    {
      name: 'access-key-known',
      kind: 'public',
      classes: ['an access key of the file', 'an unknown one'],
      learns: 'whether an access key is known, which the answer says as well',
      ...lookUp([known, far]),
      close: () => rmSync(directory, { recursive: true, force: true }),
    },
  ];
}

/** Below every modulus. */
function blinded(): Uint8Array {
  const message = random(MODULUS_LENGTH);
  message[0] = 0;
  return message;
}

function blindedMessage(key: BlindKey): Pair {
  const fixed = blinded();
  const inputs = new Inputs([inputsOf(() => fixed.slice()), inputsOf(blinded)]);
  return {
    name: 'blind-signature',
    kind: 'secret',
    classes: ['one blinded message', 'random ones'],
    learns: 'something of what a chosen message meets inside RSA, hence of the issuer’s key',
    prepare: (of) => inputs.load(of),
    run: () => blindSign(key, inputs.scratch),
  };
}
