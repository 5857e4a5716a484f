import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** The page from which the operator asks the API. Its files hold no data, and are there for whoever may ask at all. */
export interface OperatorPage {
  /** Answers a request for one of its files. */
  serve(request: IncomingMessage, response: ServerResponse): Promise<void>
}

interface PageFile {
  readonly bytes: Buffer
  readonly type: string
  readonly etag: string
}

/** The same place for the source and for what was built from it. */
const BUILT = new URL('../../page/built/', import.meta.url)

const served: readonly { readonly path: string; readonly name: string; readonly type: string }[] = [
  { path: '/', name: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/page/page.js', name: 'page.js', type: 'text/javascript; charset=utf-8' },
  { path: '/page/page.css', name: 'page.css', type: 'text/css; charset=utf-8' },
  { path: '/page/icon.svg', name: 'icon.svg', type: 'image/svg+xml' },
]

/**
 * What the page may do: load its own files and ask its own server. No script that stands in the page, none that is made
 * from text (`require-trusted-types-for`), no form that is sent anywhere, no frame around it: whatever a visitor has put
 * into a path or a session stays text.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/** Whether it asks for a file of the page, as a reader does. */
export function isForPage({ url = '', method }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && served.some(({ path }) => path === pathOf(url))
}

/** Reads its files now: a later version of them on the disk would not fit this process. */
export function openOperatorPage(): OperatorPage {
  const files = readFiles()
  // Told when somebody asks for it: without its page a gateway serves as well.
  files.catch(() => undefined)
  return {
    async serve(request, response) {
      const file = await files.then(
        (all) => all.get(pathOf(request.url ?? '')),
        () => undefined,
      )
      if (file === undefined) response.writeHead(500, { 'Content-Type': 'text/plain' }).end('the page was not built\n')
      else serveFile(file, request, response)
    },
  }
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? ''
}

/** By the path at which each is served. @throws {Error} the system's, when a file is missing. */
async function readFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const files = served.map(async ({ path, name, type }): Promise<[string, PageFile]> => {
    const bytes = await readFile(new URL(name, BUILT))
    return [path, { bytes, type, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` }]
  })
  return new Map(await Promise.all(files))
}

/** Browsers ask again each time, so that a page never speaks to a gateway of another version. */
function serveFile({ bytes, type, etag }: PageFile, request: IncomingMessage, response: ServerResponse): void {
  const known = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  const isKnown = known.includes(etag)
  response.writeHead(isKnown ? 304 : 200, {
    ETag: etag,
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': policy,
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    ...(isKnown ? {} : { 'Content-Type': type, 'Content-Length': bytes.length }),
  })
  response.end(isKnown || request.method === 'HEAD' ? undefined : bytes)
}
