/**
 * All of nym.json with both providers: both roles write the reference's bytes, take what is required and refuse the rest.
 * The last tests fail when a value, a section, a role or a provider was left out.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../../src/lp/crypto/nym-load.ts';
import { at, loadVectors, VectorReader } from '../../support/vectors.ts';
import { CHECKS, type CheckRole, PROSE, type VectorCheck } from './vectors/checks.ts';
import { HOPS } from './vectors/inputs.ts';

const PROVIDERS = await Promise.all([loadProvider('native'), loadProvider('portable')]);
const VECTORS = loadVectors('nym.json');
/** Objects and lists of the file, to the depth at which its cases lie. */
const SECTIONS = Object.keys(VECTORS).flatMap((name) => {
  if (name === 'accept_or_refuse' || name === 'handshakes') {
    return Object.keys(at(VECTORS, name) as object).map((inner) => `${name}.${inner}`);
  }
  return [name];
});

/** What a check has read with a provider. */
interface Account {
  readonly provider: string;
  readonly check: VectorCheck;
  readonly read: ReadonlySet<string>;
}

const accounts: Account[] = [];

for (const provider of PROVIDERS) {
  const crypto = nymCrypto(provider);
  for (const check of CHECKS) {
    test.serial(`${check.title} (${provider.name})`, (t) => {
      const read = new Set<string>();
      check.run(t, new VectorReader(VECTORS, '', read), crypto);
      accounts.push({ provider: provider.name, check, read });
    });
  }
}

/** Below `section`, by all of these. */
function unread(section: string, those: readonly Account[]): string[] {
  const read = new Set(those.flatMap((account) => [...account.read]));
  return new VectorReader(VECTORS, section, read).unread();
}

const isProse = (path: string) => PROSE.some((prose) => path === prose || path.startsWith(`${prose}.`));

for (const { name } of PROVIDERS) {
  const own = () => accounts.filter(({ provider }) => provider === name);

  test.serial(`no value of the vectors is left unread (${name})`, (t) => {
    t.deepEqual(
      unread('', own()).filter((path) => !isProse(path)),
      [],
    );
  });

  test.serial(`each section is read by its own check: without it something would be left unread (${name})`, (t) => {
    for (const section of SECTIONS.filter((path) => !isProse(path))) {
      const others = own().filter(({ check }) => !check.sections.includes(section));
      t.true(others.length < own().length && unread(section, others).length > 0, section);
    }
  });

  test.serial(`both roles have read the messages and keys of each handshake (${name})`, (t) => {
    for (const role of ['initiator', 'responder'] satisfies CheckRole[]) {
      const those = own().filter(({ check }) => check.role === role && check.sections[0]?.startsWith('handshakes'));
      t.is(those.length, HOPS.length);
      for (const { path } of HOPS) {
        const left = ['kkt', 'psq', 'session'].flatMap((part) => unread(`${path}.${part}`, those));
        t.deepEqual(
          left.filter((leaf) => !ONE_SIDED.some((end) => leaf.endsWith(end))),
          [],
          `${role}, ${path}`,
        );
      }
    }
  });
}

/** Of one role's inside, or of neither's: plaintexts before they are sealed, ephemerals, KEM values, the session's local id. */
const ONE_SIDED = [
  ...['kkt.request_plaintext', 'kkt.response_plaintext_is', 'kkt.response_context', 'kkt.ephemeral_public_key'],
  ...['psq.initiator_ephemeral_public_key', 'psq.responder_ephemeral_public_key'],
  ...['psq.mlkem_ciphertext', 'psq.mlkem_shared_secret', 'session.session_id'],
];
