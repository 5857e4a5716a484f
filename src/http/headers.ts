import { memoize } from '../lib/memo.ts'

/**
 * Header lines flat, as they arrived: name, value, name, value, … Names keep their case, values are latin1 strings, one
 * character a byte. It is what `node:http` calls `rawHeaders`.
 */
export type RawHeaders = readonly string[]

/** The values of every line of that name, in order. `name` is lower-case. Names are compared as RFC 9110, section 5.1 says: by case-insensitive equality. */
export function headerValues(headers: RawHeaders, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    if (isNamed(headers[i], name)) values.push(headers[i + 1] ?? '')
  }
  return values
}

/**
 * A header name as the laxest reader would take it: lower-cased, every character that is not a letter or digit as `-`.
 * CGI, WSGI and PHP hand `X_Session_Id`, `X.Session.Id` and `X-Session-Id` to the app under one name, so whoever
 * compares names exactly lets two of the three through.
 */
export function headerKey(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9-]/g, '-')
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Whether a text may be a header name or a method (RFC 9110, section 5.6.2). */
export function isToken(text: string): boolean {
  return token.test(text)
}

/** Browsers, apps and their like use some fifty names; strangers may use any. */
const NAMES_REMEMBERED = 1000
const LONGEST_REMEMBERED = 100

/** Remembers what `classify`, a pure function, said of header names, in the spelling in which they came. */
export function rememberNames<T extends object>(classify: (name: string) => T): (name: string) => T {
  const recall = memoize(classify, NAMES_REMEMBERED)
  return (name) => (name.length > LONGEST_REMEMBERED ? classify(name) : recall(name))
}

/** True if a line has that name. `name` is lower-case. */
export function hasHeader(headers: RawHeaders, name: string): boolean {
  return indexOfHeader(headers, name) >= 0
}

/** Where the first line of that name stands, or -1. `name` is lower-case. */
export function indexOfHeader(headers: RawHeaders, name: string): number {
  for (let i = 0; i < headers.length; i += 2) {
    if (isNamed(headers[i], name)) return i
  }
  return -1
}

/** Most names have another length, and are not written anew to be compared. */
function isNamed(line: string | undefined, name: string): boolean {
  return line?.length === name.length && line.toLowerCase() === name
}
