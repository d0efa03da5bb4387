/** A thread's tokens: none is handed out twice, none is lost. */
import test from 'ava';
import { TokenError } from '../../src/client/token-error.ts';
import { TokenDesk } from '../../src/load/token-desk.ts';
import { TokenStock } from '../../src/load/token-stock.ts';
import { forSeeds, must, runs } from '../support/property.ts';

const CHALLENGE = Uint8Array.of(1, 2, 3);

test('whatever the order of asking, coming and giving back, a token is with one taker, in stock, or returned', (t) => {
  forSeeds(runs(300, 10_000), (prng) => {
    let asked = 0;
    let made = 0;
    const returned: number[] = [];
    const stock = new TokenStock({ ask: () => asked++, giveBack: (token) => returned.push(token[0] ?? 0) });
    const held: number[] = [];
    let refusals = 0;
    stock.begin(CHALLENGE);
    for (let step = 0; step < 60; step++) {
      const draw = prng.below(4);
      if (draw === 0 && asked > 0) {
        asked--;
        stock.arrived(Uint8Array.of(++made));
      } else if (draw === 1 && held.length > 0) stock.giveBack(Uint8Array.of(held.pop() ?? 0));
      else if (draw === 2 && asked > 0 && prng.chance(0.2)) {
        asked--;
        stock.refused('no_tokens', 'none');
      } else {
        stock.take((token, failure) => {
          if (token !== undefined) held.push(token[0] ?? 0);
          else if (failure !== undefined) refusals++;
        });
      }
      must(new Set(held).size === held.length, 'a token is with two takers');
    }
    stock.end();
    const all = [...held, ...returned].sort((a, b) => a - b);
    must(all.length === made && all.every((token, at) => token === at + 1), `${made} made, seen: ${all.join()}`);
    must(refusals >= 0, 'never');
  });
  t.pass();
});

test('a refusal reaches whoever has waited longest, with the code of the source', (t) => {
  const stock = new TokenStock({ ask: () => {}, giveBack: () => {} });
  stock.begin(CHALLENGE);
  const codes: (string | undefined)[] = [];
  stock.take((_token, failure) => codes.push(failure?.code));
  stock.refused('no_tokens', 'the file has none');
  t.deepEqual(codes, ['PAYMENT_FAILED_NO_TOKENS']);
});

test('the desk asks one source for all, tells its errors, and gives back what it takes back', async (t) => {
  const back: Uint8Array[] = [];
  const tokens = [Uint8Array.of(1), Uint8Array.of(2)];
  const desk = new TokenDesk({
    token: () => {
      const token = tokens.pop();
      return token === undefined ? Promise.reject(new TokenError('no_tokens', 'none left')) : Promise.resolve(token);
    },
    giveBack: (token) => {
      back.push(token);
      return Promise.resolve();
    },
  });
  const answers = await Promise.all([desk.ask(CHALLENGE), desk.ask(CHALLENGE), desk.ask(CHALLENGE)]);
  t.deepEqual(
    answers.map((answer) => (answer.kind === 'noToken' ? answer.code : answer.kind)),
    ['token', 'token', 'no_tokens'],
  );
  desk.giveBack(Uint8Array.of(2));
  await desk.settled();
  t.deepEqual(back, [Uint8Array.of(2)]);
  t.like(await new TokenDesk(undefined).ask(CHALLENGE), { kind: 'noToken', code: 'no_tokens' });
});
