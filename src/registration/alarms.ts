/**
 * Which part of the registrar cannot do its work now. An alarm rises with the first failure and falls when the part has
 * shown that it works again (the pool: has a free address), so that the operator hears of each change once, not of each request (registration.md, rule 9).
 */
export const ALARM_PARTS = ['store', 'wireguard', 'pool'] as const;
export type AlarmPart = (typeof ALARM_PARTS)[number];

export interface Alarm {
  readonly part: AlarmPart;
  /** Unix seconds. */
  readonly since: number;
  /** Of the failure that raised it. */
  readonly code: string;
  readonly message: string;
}

export class Alarms {
  readonly #standing = new Map<AlarmPart, Alarm>();

  get list(): readonly Alarm[] {
    return [...this.#standing.values()];
  }

  isUp(part: AlarmPart): boolean {
    return this.#standing.has(part);
  }

  /** Whether it has changed; one that stands keeps its first failure. */
  raise(alarm: Alarm): boolean {
    if (this.#standing.has(alarm.part)) return false;
    this.#standing.set(alarm.part, alarm);
    return true;
  }

  /** Whether it has changed. */
  clear(part: AlarmPart): boolean {
    return this.#standing.delete(part);
  }
}
