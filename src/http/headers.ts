/**
 * Header lines flat, as they arrived: name, value, name, value, … Names keep their case, values are latin1 strings, one
 * character a byte. It is what `node:http` calls `rawHeaders`.
 */
export type RawHeaders = readonly string[]

/** The values of every line of that name, in order. `name` is lower-case. Names are compared as RFC 9110, section 5.1 says: by case-insensitive equality. */
export function headerValues(headers: RawHeaders, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const line = headers[i]
    if (line !== undefined && line.length === name.length && line.toLowerCase() === name)
      values.push(headers[i + 1] ?? '')
  }
  return values
}

/**
 * A header name as the laxest reader would take it: lower-cased, every character that is not a letter or digit as `-`.
 * CGI, WSGI and PHP hand `X_Session_Id`, `X.Session.Id` and `X-Session-Id` to the app under one name, so whoever
 * compares names exactly lets two of the three through.
 */
export function headerKey(name: string): string {
  const lower = name.toLowerCase()
  return /[^a-z0-9-]/.test(lower) ? lower.replace(/[^a-z0-9]/g, '-') : lower
}
