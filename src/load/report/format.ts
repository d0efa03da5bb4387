/**
 * How the reports write numbers and foreign text: one habit for terminal and HTML. Every function is total: what is not a
 * finite number becomes a dash, and text from outside (targets, errors) loses every character that a terminal would obey.
 */

export const ABSENT = '–';

const KIB = 1_024;
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** `12,345`. */
export function formatCount(value: number): string {
  return Number.isFinite(value) ? WHOLE.format(value) : ABSENT;
}

/** Three digits, more where the value is greater: `0.042`, `1.2`, `83.5`, `1,240`. */
export function formatDecimal(value: number): string {
  if (!Number.isFinite(value)) return ABSENT;
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 99.95) return WHOLE.format(value);
  if (size >= 9.995) return value.toFixed(1);
  return size >= 0.9995 ? value.toFixed(2) : value.toFixed(3);
}

/** Like a decimal, but whole numbers stay whole: `60`, `16.7`. */
export function formatRate(perSecond: number): string {
  return Number.isInteger(perSecond) ? formatCount(perSecond) : formatDecimal(perSecond);
}

/** Milliseconds to the microsecond below 1 ms; without the unit, for tables. */
export function formatMs(value: number | undefined): string {
  return value === undefined ? ABSENT : formatDecimal(value);
}

/** A share of 1: `12.3 %`; what is not nothing is never shown as nothing, nor what is not all as all. */
export function formatPercent(share: number): string {
  if (!Number.isFinite(share)) return ABSENT;
  if (share === 0 || share === 1) return `${share * 100} %`;
  if (share > 0 && share < 0.000_5) return '< 0.1 %';
  if (share < 1 && share > 0.999_5) return '> 99.9 %';
  return share < 0.099_5 ? `${(share * 100).toFixed(1)} %` : `${formatDecimal(share * 100)} %`;
}

/** A part of a whole as a percentage; 0 of 0 is 0. */
export function formatShare(part: number, whole: number): string {
  return formatPercent(whole === 0 ? 0 : part / whole);
}

/** `3.9 GiB`. */
export function formatBytes(value: number): string {
  if (!Number.isFinite(value) || value < 0) return ABSENT;
  const power = value < KIB ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log(value) / Math.log(KIB)));
  const scaled = value / KIB ** power;
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${BYTE_UNITS[power]}`;
}

/** `75 s`, and from two minutes on `2 min`, `1 h 5 min 3 s`. */
export function formatSeconds(value: number): string {
  if (!Number.isFinite(value)) return ABSENT;
  if (value < 120) return `${formatDecimal(value)} s`.replace(/\.0+ s$/, ' s');
  const whole = Math.round(value);
  const parts = [
    [Math.floor(whole / 3_600), 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ] as const;
  return parts.flatMap(([amount, unit]) => (amount === 0 ? [] : [`${amount} ${unit}`])).join(' ');
}

/** From this span on, moments of a run are told in minutes and seconds. */
const CLOCK_FROM_SECONDS = 180;

/** A second of a run that takes `span` seconds: `second 12`, or `58:00` as the plots of a long run have it. */
export function formatMoment(second: number, span: number): string {
  if (span <= CLOCK_FROM_SECONDS) return `second ${formatCount(second)}`;
  return `${Math.floor(second / 60)}:${String(Math.floor(second % 60)).padStart(2, '0')}`;
}

/** The first letter as a capital. */
export function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/**
 * Foreign text for one line: control, formatting and separating characters as `\u{…}`, so that neither an escape
 * sequence nor a change of direction survives; at most `limit` characters.
 */
export function plain(text: string, limit = 400): string {
  const shown = Array.from(text.slice(0, 2 * limit).toWellFormed(), (char) =>
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(char) ? `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}` : char,
  ).join('');
  const chars = Array.from(shown);
  return chars.length > limit || text.length > 2 * limit ? `${chars.slice(0, limit - 1).join('')}…` : shown;
}
