/**
 * The members of a JSON object with the text of each as it stands there: signatures are over received text, and parsing
 * forgets it. The text has been parsed before, so it is JSON; only where each member begins and ends is asked.
 */
const WHITE_SPACE = ' \t\n\r';

/** `undefined` for what is no object, and for one that has a key twice: readers would disagree on which one counts. */
export function jsonMembers(text: string): ReadonlyMap<string, string> | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const members = new Map<string, string>();
  let at = skipSpace(text, 0);
  if (text[at] !== '{') return undefined;
  at = skipSpace(text, at + 1);
  while (text[at] !== '}') {
    const keyEnd = valueEnd(text, at);
    const key = JSON.parse(text.slice(at, keyEnd)) as string;
    // Past the colon.
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    if (members.has(key)) return undefined;
    members.set(key, text.slice(start, end));
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return members;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (at < text.length && WHITE_SPACE.includes(text.charAt(at))) at++;
  return at;
}

/** Where the value ends that begins at `start`. */
function valueEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') {
      at = stringEnd(text, at) - 1;
      if (depth === 0) return at + 1;
    } else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') {
      // The end of the object around a number or a word.
      if (depth === 0) return at;
      depth--;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (character === ',' || WHITE_SPACE.includes(character))) return at;
  }
  return text.length;
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
