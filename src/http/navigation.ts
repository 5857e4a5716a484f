import { headerValues, type RawHeaders } from './headers.ts'

/**
 * True if a person waits for a page, so that a login page or an error page helps; false for a script, which needs a
 * status and JSON. The first that decides:
 *
 * 1. `Upgrade`: no.
 * 2. `Sec-Fetch-Mode`: `navigate` yes, all else no. Scripts cannot set it, so it outranks what follows.
 * 3. `X-Requested-With: XMLHttpRequest`: no.
 * 4. `Accept` names `text/html` with a weight above 0: yes.
 * 5. GET or HEAD with no Accept, or with the range of all types alone: yes (plain programs).
 * 6. No.
 */
export function isPageNavigation(method: string, raw: RawHeaders): boolean {
  if (headerValues(raw, 'upgrade').length > 0) return false
  const [fetchMode] = headerValues(raw, 'sec-fetch-mode')
  if (fetchMode !== undefined) return fetchMode === 'navigate'
  if (headerValues(raw, 'x-requested-with').some((value) => value.toLowerCase() === 'xmlhttprequest')) return false
  const ranges = headerValues(raw, 'accept').flatMap(parseAccept)
  if (ranges.some((range) => range.type === 'text/html' && range.weight > 0)) return true
  if (method !== 'GET' && method !== 'HEAD') return false
  const [first, ...others] = ranges
  return first === undefined || (first.type === '*/*' && first.weight > 0 && others.length === 0)
}

interface MediaRange {
  /** Lower-case, without parameters. */
  readonly type: string
  /** 0 to 1; 1 where none is written, 0 where it is malformed: what cannot be read asks for nothing. */
  readonly weight: number
}

/**
 * RFC 9110, section 12.5.1. A comma inside a quoted parameter splits a range in two here, which makes a type that nobody
 * asks about; ranges with such parameters are not sent by anything that waits for a page.
 */
function parseAccept(line: string): MediaRange[] {
  return line
    .split(',')
    .map((range) => range.split(';').map((part) => part.trim().toLowerCase()))
    .filter(([type]) => type !== undefined && type !== '')
    .map(([type = '', ...parameters]) => {
      const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))
      return { type, weight: weight === undefined ? 1 : parseWeight(weight.slice(weight.indexOf('=') + 1).trim()) }
    })
}

function parseWeight(text: string): number {
  return /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : 0
}
