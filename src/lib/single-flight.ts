/**
 * At most one run of `fly` per key at a time. Calls that come while one is under way share the *next* one, and never the
 * one that has begun: what that read may be older than the call, and a log-out may lie between.
 *
 * A thousand calls at once cost two runs, one after the other.
 */
export function createSingleFlight<K, T>(fly: (key: K) => Promise<T>): (key: K) => Promise<T> {
  const flights = new Map<K, Flight<T>>()

  function takeOff(key: K): Promise<T> {
    const flight: Flight<T> = { current: fly(key), next: undefined }
    flights.set(key, flight)
    const land = (): void => {
      if (flight.next === undefined) flights.delete(key)
    }
    void flight.current.then(land, land)
    return flight.current
  }

  return function board(key) {
    const flight = flights.get(key)
    if (flight === undefined) return takeOff(key)
    const next = (): Promise<T> => takeOff(key)
    flight.next ??= flight.current.then(next, next)
    return flight.next
  }
}

interface Flight<T> {
  readonly current: Promise<T>
  next: Promise<T> | undefined
}
