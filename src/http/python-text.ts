/** A header value as WSGI servers hand it to Django: its bytes read as UTF-8, what is not UTF-8 as U+FFFD. */
export function utf8Text(latin1: string): string {
  return /[\x80-\xff]/.test(latin1) ? Buffer.from(latin1, 'latin1').toString('utf8') : latin1
}

/**
 * Python's `str.strip()`. It takes U+001C to U+001F and U+0085, which JavaScript's `trim` leaves, and leaves U+FEFF,
 * which `trim` takes. The difference is a cookie that Django reads and we do not.
 */
export function pythonStrip(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isPythonSpace(text.charCodeAt(start))) start += 1
  while (end > start && isPythonSpace(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isPythonSpace(code: number): boolean {
  if (code <= 0x20) return code === 0x20 || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f)
  if (code < 0x2000) return code === 0x85 || code === 0xa0 || code === 0x1680
  if (code <= 0x200a) return true
  return code === 0x2028 || code === 0x2029 || code === 0x202f || code === 0x205f || code === 0x3000
}

/**
 * `_unquote` of Python's `http.cookies`: the quotes around a value off, `\ooo` to the character of that octal number, any
 * other escaped character to itself. A backslash before a line feed, or at the end, stays.
 */
export function unquoteCookie(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text
  return text
    .slice(1, -1)
    .replace(/\\(?:([0-3][0-7][0-7])|([^\n]))/g, (_, octal: string | undefined, character: string) =>
      octal === undefined ? character : String.fromCharCode(Number.parseInt(octal, 8)),
    )
}
