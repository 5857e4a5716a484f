/** What one proxy says of the connection that it got a request on (RFC 7239, section 5). Unquoted; absent where it says nothing. */
export interface ForwardedElement {
  readonly for?: string
  readonly proto?: string
  readonly host?: string
}

/** RFC 7239, section 4: a parameter is a token, `=`, and a token or a quoted string; no spaces stand around `=` and `;`. */
const pair =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t -~])*)")/y
const separator = /[ \t]*([,;])[ \t]*/y

/**
 * The elements of `Forwarded` lines, the nearest proxy's last. Undefined if anything in them is malformed, or a parameter
 * comes twice in one element: an element that is skipped would shift whose word the others are.
 */
export function parseForwarded(lines: readonly string[]): ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = []
  for (const line of lines) {
    const found = parseLine(line.trim())
    if (found === undefined) return undefined
    elements.push(...found)
  }
  return elements
}

function parseLine(line: string): ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = []
  let parameters = new Map<string, string>()
  let at = 0
  for (;;) {
    pair.lastIndex = at
    const [, name = '', token, quoted] = pair.exec(line) ?? []
    const key = name.toLowerCase()
    if (key === '' || parameters.has(key)) return undefined
    parameters.set(key, token ?? (quoted ?? '').replace(/\\(.)/g, '$1'))
    at = pair.lastIndex
    const isEnd = at === line.length
    separator.lastIndex = at
    const mark = isEnd ? ',' : separator.exec(line)?.[1]
    if (mark === undefined) return undefined
    at = separator.lastIndex
    if (mark === ',') {
      elements.push(Object.fromEntries(parameters))
      parameters = new Map()
    }
    if (isEnd) return elements
  }
}
