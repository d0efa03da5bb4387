/** How the chaos runner finds a nonce that is used twice under one key, in whichever process. */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { recordSeals, SealFile } from '../../scripts/chaos/seal-record.ts';
import { SealTable, SealWatch } from '../../scripts/chaos/seal-table.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';

const SALT = new Uint8Array(16).fill(1);
const KEY = new Uint8Array(32).fill(2);

function directoryOf(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-seals-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function nonce(n: number): Uint8Array {
  return new Uint8Array(12).fill(n);
}

/** A thread that seals and writes down what it seals. */
async function sealer(path: string): Promise<{ seal: (text: string, n: number) => Uint8Array; file: SealFile }> {
  const file = new SealFile(path);
  const crypto = recordSeals(await loadProvider('auto'), SALT, (record) => file.note(record));
  const seal = (text: string, n: number) => {
    const plaintext = Buffer.from(text);
    const out = new Uint8Array(plaintext.length + 16);
    crypto.aeadSeal(out, plaintext, new Uint8Array(0), nonce(n), KEY);
    return out;
  };
  return { seal, file };
}

test('a table knows new pairs, repeats and clashes, however many there are', (t) => {
  const table = new SealTable();
  const pairs = Array.from({ length: 40_000 }, (_, n) => BigInt.asUintN(64, BigInt(n) * 0x9e37_79b9_7f4a_7c15n));
  t.true(pairs.every((pair, n) => table.add(pair, BigInt(n)) === 'new'));
  t.is(table.size, pairs.length);
  t.true(pairs.every((pair, n) => table.add(pair, BigInt(n)) === 'repeat'));
  t.true(pairs.every((pair, n) => table.add(pair, BigInt(n + 1)) === 'clash'));
});

test('sealing is unchanged by its recording, in place too', async (t) => {
  const plain = await loadProvider('auto');
  const recorded = recordSeals(plain, SALT, () => undefined);
  const [a, b] = [Buffer.alloc(48, 7), Buffer.alloc(48, 7)];
  plain.aeadSeal(a, a.subarray(0, 32), SALT, nonce(1), KEY);
  recorded.aeadSeal(b, b.subarray(0, 32), SALT, nonce(1), KEY);
  t.deepEqual(a, b);
});

test('two processes that seal different bytes under one key and nonce are found', async (t) => {
  const directory = directoryOf(t);
  const clashes: string[] = [];
  const watch = new SealWatch(directory, (where) => clashes.push(where));
  const [one, two] = [await sealer(join(directory, 'one')), await sealer(join(directory, 'two'))];
  one.seal('first', 1);
  one.seal('second', 2);
  one.file.flush();
  watch.look();
  two.seal('third', 3);
  two.seal('first', 1);
  two.file.flush();
  watch.look();
  t.deepEqual([watch.counts, clashes], [{ sealed: 4, repeats: 1 }, []]);
  two.seal('else', 2);
  two.file.close();
  watch.look();
  t.deepEqual(clashes, ['two']);
});

test('a record that was cut off by a kill waits for its rest', (t) => {
  const directory = directoryOf(t);
  const watch = new SealWatch(directory, () => t.fail());
  appendFileSync(join(directory, 'killed'), new Uint8Array(24).fill(5, 0, 16).fill(9, 16));
  watch.look();
  t.is(watch.counts.sealed, 1);
  appendFileSync(join(directory, 'killed'), new Uint8Array(8).fill(6));
  watch.look();
  t.is(watch.counts.sealed, 2);
});
