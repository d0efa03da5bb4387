/**
 * Aligned columns of plain text. Every line of a table is as wide as its widest cells ask for; trailing blanks are cut.
 */

export type Align = 'left' | 'right';

const GAP = '  ';

/** Lines of a table; `rows` may be shorter than `aligns`, and the first row is usually the heading. */
export function alignedLines(aligns: readonly Align[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = aligns.map((_, column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    aligns
      .map((align, column) => fitted(row[column] ?? '', widths[column] ?? 0, align))
      .join(GAP)
      .trimEnd(),
  );
}

export function fitted(text: string, width: number, align: Align): string {
  return align === 'left' ? text.padEnd(width) : text.padStart(width);
}

/** Text in lines of at most `width`, broken between words; a longer word stays whole. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
