/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number

/** Tells the wall-clock time; an argument everywhere, so that tests own it. */
export type Clock = () => EpochMs

export const systemClock: Clock = () => Date.now()
