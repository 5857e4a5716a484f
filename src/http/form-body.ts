import { headerValues, type RawHeaders } from './headers.ts'

/** As many as Django takes by default. */
const MAX_FIELDS = 1000

/** Name and value of a field, as a page would hold them. */
export type FormField = readonly [name: string, value: string]

/** True for what an HTML form sends unless it says otherwise; without files. */
export function isFormPost(method: string, raw: RawHeaders): boolean {
  if (method !== 'POST' || headerValues(raw, 'content-encoding').length > 0) return false
  const [type, ...others] = headerValues(raw, 'content-type')
  if (type === undefined || others.length > 0) return false
  return /^application\/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset="?utf-8"?)?[ \t]*$/i.test(type)
}

/**
 * The fields of a form's body (URL standard, section 5.1), if a page with these fields sends the very same bytes again;
 * else undefined. A page in UTF-8 cannot hold everything that a body can: no other encoding, no NUL, no line break but
 * CRLF, no field without a name (HTML standard, section 4.10.21.4).
 *
 * @param body one character a byte (latin1)
 */
export function parseFormBody(body: string): readonly FormField[] | undefined {
  const parsed = new URLSearchParams(body)
  if (parsed.size > MAX_FIELDS || parsed.toString() !== body) return undefined
  const fields = [...parsed]
  return fields.every(isRepeatable) ? fields : undefined
}

function isRepeatable([name, value]: FormField): boolean {
  if (name === '' || !isText(name) || !isText(value)) return false
  // Browsers put the page's encoding there, whatever the page says.
  return name.toLowerCase() !== '_charset_' || value === 'UTF-8'
}

function isText(text: string): boolean {
  return !/\0|\r(?!\n)|(?<!\r)\n/.test(text)
}
