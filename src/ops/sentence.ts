/** Messages are kept as phrases, so that they can be joined; this makes one a sentence. */
export function sentence(text: string): string {
  const end = /[.?!]$/.test(text) ? '' : '.';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${end}`;
}
