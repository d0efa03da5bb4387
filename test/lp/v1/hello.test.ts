import test from 'ava';
import { decodeHelloV1, encodeHelloV1, HELLO_CONTENT_LENGTH } from '../../../src/lp/v1/hello.ts';
import { CLIENT, otherLengths } from './people.ts';

const hello = {
  receiverIndex: 0xffff_fffe,
  x25519: CLIENT.x25519,
  ed25519: CLIENT.ed25519,
  salt: new Uint8Array(32).fill(9),
};

test('a hello decodes to what it was encoded from', (t) => {
  const content = encodeHelloV1(hello);
  t.is(content.length, HELLO_CONTENT_LENGTH);
  t.deepEqual(decodeHelloV1(content), hello);
});

test('a hello of another length is none', (t) => {
  for (const [what, content] of otherLengths(encodeHelloV1(hello))) t.is(decodeHelloV1(content), undefined, what);
});
