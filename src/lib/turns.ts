/** Runs tasks one after the other, in the order in which they come; one that fails does not hold up the next. */
export function createTurns(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return function take(task) {
    const result = last.then(task)
    last = result.catch(() => undefined)
    return result
  }
}
