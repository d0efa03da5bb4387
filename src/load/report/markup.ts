/**
 * HTML by construction: text becomes markup only through the `html` tag, which escapes whatever is not markup already.
 * So a string from outside cannot end an element, an attribute or a script, whoever forgets to think of it.
 */
import { plain } from './format.ts';

export class Markup {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

export type Content = Markup | string | number | readonly Content[];

/** Foreign text longer than this is cut. */
const TEXT_LIMIT = 2_000;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  return new Markup(
    strings.map((part, index) => `${index === 0 ? '' : render(contents[index - 1] ?? '')}${part}`).join(''),
  );
}

function render(content: Content): string {
  if (content instanceof Markup) return content.source;
  if (typeof content === 'string') return escapeText(content);
  return typeof content === 'number' ? escapeText(String(content)) : content.map(render).join('');
}

/** For elements and for attributes in quotes. */
function escapeText(text: string): string {
  return plain(text, TEXT_LIMIT).replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}

/** JSON for inside a script element: nothing in it can end the element or begin a comment. */
export function scriptJson(value: unknown): Markup {
  return new Markup(JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, unicodeEscape));
}

function unicodeEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
