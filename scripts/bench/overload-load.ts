/**
 * What the overload bench offers to a gateway and what came of it: plain data between the bench and its load's process.
 */

export type OfferedLoad =
  /** So many clients, each with a handshake under way: what the gateway can do. */
  | {
      readonly kind: 'closed';
      readonly seconds: number;
      readonly concurrency: number;
      readonly sources: number;
      readonly patienceMs: number;
    }
  /** So many handshakes a second, whatever becomes of them. */
  | {
      readonly kind: 'open';
      readonly seconds: number;
      readonly rate: number;
      readonly sources: number;
      readonly patienceMs: number;
    };

export interface RunResult {
  started: number;
  /** Sessions. */
  done: number;
  /** Told to come back. */
  busy: number;
  /** Without a session when the client's patience was over. */
  late: number;
  /** The connection was refused or closed. */
  refused: number;
  failed: number;
  /** Handshakes that were to be sent and had not been prepared: the bench's fault. */
  starved: number;
  seconds: number;
  /** Of those that are done. */
  timesMs: number[];
  /** CPU of the load's process. */
  cpuUs: number;
}
