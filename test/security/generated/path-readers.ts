/**
 * The ways in which apps read the path of a request: written from what servers and frameworks do, and from nothing of
 * ours, so that a mistake of the gateway's own readings is not repeated here.
 */
export const readers: Readonly<Record<string, (path: string) => string>> = {
  'as it is': (path) => path,
  // CGI, WSGI, Rack, most routers; UTF-8 where it is, else byte by byte.
  'decoded once': decode,
  // An app that decodes what its server has decoded.
  'decoded twice': (path) => decode(decode(path)),
  // RFC 3986, section 5.2.4, with empty segments merged as nginx and Apache do.
  'dot segments resolved': (path) => resolve(path.replace(/\/{2,}/g, '/')),
  // The URL standard: browsers, undici, and every app that says `new URL(request.url, base)`.
  'as a URL': (path) => new URL(`http://app.test${path.startsWith('/') ? path : `/${path}`}`).pathname,
  // Servlet containers: parameters go before anything is decoded.
  'parameters cut': (path) => path.replace(/;[^/]*/g, ''),
  // Routers for which `;` begins the query.
  'cut at the first parameter': (path) => path.replace(/;.*$/s, ''),
  // IIS, file systems of Windows and of macOS, Express by default.
  'without case, a backslash as a slash': (path) => path.replaceAll('\\', '/').toLowerCase(),
  // Through the other case and back: what folds to a letter is that letter to a database or a file system.
  folded: (path) => path.toUpperCase().toLowerCase(),
  // Express, Rails, Spring before 6.
  'without a final slash': (path) => (path.length > 1 ? path.replace(/\/+$/, '') || '/' : path),
  // A C program, and who parses a decoded path again.
  'cut where a name ends': (path) => path.replace(/[\0?#].*$/s, ''),
}

const ways = Object.entries(readers)

/** An app is a server, a framework and a router, each of which reads on what the one before it has made. */
const DEPTH = 3

/** Every reading of a path, by one way after another, with the ways that led to it. */
export function readingsOf(path: string): ReadonlyMap<string, string> {
  const found = new Map([[path, 'as it is']])
  let latest = [path]
  for (let depth = 0; depth < DEPTH && latest.length > 0; depth += 1) {
    const fresh: string[] = []
    for (const text of latest) {
      for (const [name, read] of ways) {
        const reading = read(text)
        if (found.has(reading)) continue
        found.set(reading, `${found.get(text)}, ${name}`)
        fresh.push(reading)
      }
    }
    latest = fresh
  }
  return found
}

function decode(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => {
    const bytes = Buffer.from(run.replaceAll('%', ''), 'hex')
    const decoded = bytes.toString('utf8')
    return decoded.includes('\ufffd') ? overlong(bytes) : decoded
  })
}

/** As decoders did before they were strict: the bits that matter, whatever the length of the form. */
function overlong(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]/g, (form) => {
      const [before = 0, last = 0] = [form.charCodeAt(form.length - 2), form.charCodeAt(form.length - 1)]
      return String.fromCharCode(((before & 1) << 6) | (last & 0x3f))
    })
}

function resolve(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const [at, segment] of segments.entries()) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
    if ((segment === '.' || segment === '..') && at === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}

/** RFC 3986, section 6.2.2: what two spellings of one and the same path have in common. */
export function normalForm(path: string): string {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (triplet, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16))
    return /[A-Za-z0-9\-._~]/.test(character) ? character : triplet.toUpperCase()
  })
}
