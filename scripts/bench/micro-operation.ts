/** One small thing to be timed: what a micro benchmark loops over. */
export interface Micro {
  readonly name: string;
  readonly unit: 'us' | 'ns';
  /** How many of what the figure is about one run does. */
  readonly per: number;
  readonly run: () => unknown;
}
