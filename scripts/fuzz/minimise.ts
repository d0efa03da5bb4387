/**
 * The smallest input that still fails the same way, as far as a bounded number of tries finds it: pieces are cut out, large
 * ones first, then bytes are set to zero. Pure but for the predicate.
 */

export type StillFails = (input: Uint8Array) => boolean | Promise<boolean>;

export async function minimise(input: Uint8Array, stillFails: StillFails, tries: number): Promise<Uint8Array> {
  let left = tries;
  const attempt = async (candidate: Uint8Array): Promise<boolean> => {
    if (left <= 0) return false;
    left--;
    return stillFails(candidate);
  };
  const cut = await cutPieces(input.slice(), attempt, () => left > 0);
  return clearBytes(cut, attempt, () => left > 0);
}

type Attempt = (candidate: Uint8Array) => Promise<boolean>;

async function cutPieces(input: Uint8Array, attempt: Attempt, goOn: () => boolean): Promise<Uint8Array> {
  let best = input;
  for (let size = Math.max(1, best.length >> 1); goOn(); size >>= 1) {
    for (let at = 0; at < best.length && goOn(); ) {
      const candidate = Uint8Array.from([...best.subarray(0, at), ...best.subarray(at + size)]);
      if (await attempt(candidate)) best = candidate;
      else at += size;
    }
    if (size <= 1) break;
  }
  return best;
}

async function clearBytes(input: Uint8Array, attempt: Attempt, goOn: () => boolean): Promise<Uint8Array> {
  let best = input;
  for (let size = Math.max(1, best.length >> 1); goOn(); size >>= 1) {
    for (let at = 0; at < best.length && goOn(); at += size) {
      const candidate = best.slice().fill(0, at, at + size);
      if (Buffer.compare(candidate, best) !== 0 && (await attempt(candidate))) best = candidate;
    }
    if (size <= 1) break;
  }
  return best;
}
