/** Where a value stands in the file: the keys and list positions from the top. */
export type Path = readonly (string | number)[]

/** A path as a map key: two different paths never share one. */
export function pathKey(path: Path): string {
  return JSON.stringify(path)
}

/** A path as a person reads it: `routes[2].match.path`. The top is `the top of the file`. */
export function pathText(path: Path): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (/^[\w-]+$/.test(step)) text += text === '' ? step : `.${step}`
    else text += `[${JSON.stringify(step)}]`
  }
  return text === '' ? 'the top of the file' : text
}

/** True if `path` is `ancestor` or lies below it. */
export function isWithin(path: Path, ancestor: Path): boolean {
  return ancestor.every((step, at) => path[at] === step)
}
