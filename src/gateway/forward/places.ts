/**
 * Session families at exits: which exchanges each has under way at an exit, and the idle connection that is kept there for its
 * next one (lp2.md §5). Invariant: at most one kept connection per family and exit, at most `maxKept` in all (the longest
 * idle one goes first), none longer than the idle limit, and none on which anything came while nobody waited for it.
 */
import type { Exit } from './allow-list.ts';
import { Deadlines, type Time, Timed } from './deadlines.ts';
import type { ExitConnection, ExitConnectionOwner } from './exit-connection.ts';

export interface PlacesOptions {
  readonly maxKept: number;
  readonly idleMs: number;
}

/** What is under way at a place. */
interface Running {
  readonly place: Place;
  readonly bootstrap: boolean;
  /** Whether its connection may be kept for the next one. */
  mayKeep: boolean;
  abort(): void;
}

interface Family {
  readonly name: string;
  /** Few: one for each exit that it uses at present. */
  readonly places: Place[];
  inFlight: number;
}

/** One family at one exit. While a connection is kept there, it is the connection's owner, and has its idle limit. */
export class Place extends Timed<Place> implements ExitConnectionOwner {
  readonly family: Family;
  readonly exit: Exit;
  readonly running: Running[] = [];
  kept: ExitConnection | undefined;
  readonly #places: Places;

  constructor(family: Family, exit: Exit, places: Places) {
    super();
    this.family = family;
    this.exit = exit;
    this.#places = places;
  }

  // Of the kept connection.

  connected(): void {}

  received(): void {
    this.#places.drop(this);
  }

  ended(): void {
    this.#places.drop(this);
  }
}

export class Places {
  readonly #maxKept: number;
  readonly #families = new Map<string, Family>();
  /** Those with a kept connection, in the order in which it became idle. */
  readonly #kept: Deadlines<Place>;

  constructor({ maxKept, idleMs }: PlacesOptions, time: Time) {
    this.#maxKept = maxKept;
    this.#kept = new Deadlines(idleMs, time, (place) => this.drop(place));
  }

  get kept(): number {
    return this.#kept.size;
  }

  inFlight(family: string): number {
    return this.#families.get(family)?.inFlight ?? 0;
  }

  /** An exchange is to `begin` there. */
  place(name: string, exit: Exit): Place {
    let family = this.#families.get(name);
    if (family === undefined) {
      family = { name, places: [], inFlight: 0 };
      this.#families.set(name, family);
    }
    for (const place of family.places) if (place.exit.key === exit.key) return place;
    const place = new Place(family, exit, this);
    family.places.push(place);
    return place;
  }

  begin(exchange: Running): void {
    exchange.place.running.push(exchange);
    exchange.place.family.inFlight++;
  }

  end(exchange: Running): void {
    const { place } = exchange;
    place.running.splice(place.running.indexOf(exchange), 1);
    place.family.inFlight--;
    this.#forgetUnused(place);
  }

  /** Of an exchange that has not ended yet. */
  keep(place: Place, connection: ExitConnection): void {
    this.drop(place);
    place.kept = connection;
    connection.own(place);
    this.#kept.add(place);
    const { first } = this.#kept;
    if (this.#kept.size > this.#maxKept && first !== undefined) this.drop(first);
  }

  /** The kept connection, which is the caller's from now on. */
  take(place: Place): ExitConnection | undefined {
    const { kept } = place;
    if (kept === undefined) return undefined;
    if (!kept.usable) {
      this.drop(place);
      return undefined;
    }
    this.#kept.delete(place);
    place.kept = undefined;
    kept.disown();
    return kept;
  }

  drop(place: Place): void {
    const { kept } = place;
    if (kept === undefined) return;
    this.#kept.delete(place);
    place.kept = undefined;
    kept.destroy();
    this.#forgetUnused(place);
  }

  /** The family's exchanges under way go on; nothing of it is kept. */
  endFamily(name: string): void {
    for (const place of [...(this.#families.get(name)?.places ?? [])]) {
      for (const exchange of place.running) exchange.mayKeep = false;
      this.drop(place);
    }
  }

  /** Ends every exchange, and nothing is kept any more. */
  close(): void {
    for (const { places } of [...this.#families.values()]) {
      for (const place of [...places]) {
        for (const exchange of [...place.running]) exchange.abort();
        this.drop(place);
      }
    }
    this.#kept.close();
  }

  #forgetUnused(place: Place): void {
    if (place.running.length > 0 || place.kept !== undefined) return;
    const { family } = place;
    const at = family.places.indexOf(place);
    if (at >= 0) family.places.splice(at, 1);
    if (family.places.length === 0) this.#families.delete(family.name);
  }
}
