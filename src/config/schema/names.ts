import { textLike } from './scalars.ts'

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const DOMAIN = /^\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const HEADER_VALUE = /^[!-~]([\t -~]*[!-~])?$/
const DOTTED_PATH = /^[^.]+(\.[^.]+)*$/

/** Ids of routes, upstreams and caches: they become labels of metrics, claims and parts of keys. */
export function name() {
  return textLike(NAME, 'a name of up to 64 letters, digits, "-", "_" and "."')
}

/** A cookie's name, RFC 6265, section 4.1.1. */
export function cookieName() {
  return textLike(TOKEN, 'a cookie name: letters, digits and "-", "_", "." without spaces, quotes or separators')
}

/** A cookie's domain, RFC 6265, section 4.1.2.3; the dot before it means nothing. */
export function cookieDomain() {
  return textLike(DOMAIN, 'a domain such as example.com')
}

/** A header's name. */
export function headerName() {
  return textLike(TOKEN, 'a header name: letters, digits and "-"')
}

/** A header's value: visible ASCII with spaces inside. A line break here would end the header and begin another. */
export function headerValue() {
  return textLike(HEADER_VALUE, 'a header value: visible ASCII characters, and spaces between them')
}

/** `userInfo.name`: keys of the session from the top, joined by dots. */
export function sessionPath() {
  return textLike(DOTTED_PATH, 'a path into the session such as userInfo.name')
}
