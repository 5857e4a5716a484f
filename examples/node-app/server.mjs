// An app that knows nothing of sessions, cookies and the gateway's insides: it reads one header and writes two.
// Node 22 or newer, no packages: node examples/node-app/server.mjs
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { loginPage, noticePage, shopPage, teas } from './pages.mjs'
import { readSession } from './verify.mjs'

const port = Number(process.env.PORT ?? 8000)
const maxBodyBytes = 16 * 1024
const maxNameLength = 80
const maxCount = 99

const files = {
  __proto__: null,
  '/static/style.css': { type: 'text/css; charset=utf-8', body: readFile('style.css') },
  '/static/cup.svg': { type: 'image/svg+xml', body: readFile('cup.svg') },
}

const handlers = {
  __proto__: null,

  'GET /': ({ session }) => {
    const name = userName(session)
    if (name === undefined) return seeOther('/login')
    return pageOf(200, shopPage({ name, cart: cartOf(session), ...session }))
  },

  'GET /login': ({ query }) => pageOf(200, loginPage({ next: query.get('next') ?? '/' })),

  // Who logs in is for the app to decide, and this one believes everybody. The gateway gives the session a new key here.
  'POST /login': async ({ request, query }) => {
    const form = await readForm(request)
    const next = form.get('next') ?? query.get('next') ?? '/'
    const name = (form.get('name') ?? '').trim()
    if (name === '' || name.length > maxNameLength) {
      return pageOf(422, loginPage({ next, name, problem: `A name has 1 to ${maxNameLength} characters.` }))
    }
    return seeOther(safePath(next), { 'X-Session-Set': headerJson({ userInfo: { name } }) })
  },

  'POST /logout': () => seeOther('/login', { 'X-Session-Command': 'flush' }),

  'POST /cart': async ({ request, session }) => {
    const form = await readForm(request)
    const tea = form.get('tea') ?? ''
    const step = form.get('step') === '-1' ? -1 : 1
    if (!teas.has(tea)) return pageOf(422, noticePage({ title: 'No such tea', text: 'Not sold here.', link: '/' }))
    const cart = cartOf(session)
    const count = Math.min((cart.get(tea) ?? 0) + step, maxCount)
    if (count > 0) cart.set(tea, count)
    else cart.delete(tea)
    return seeOther('/', { 'X-Session-Set': headerJson({ cart: Object.fromEntries(cart) }) })
  },
}

const server = createServer(async (request, response) => {
  const { status, headers, body } = await answer(request).catch((error) => {
    console.error(error)
    return pageOf(500, noticePage({ title: 'That went wrong', text: 'The log of the app says more.' }))
  })
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) }).end(body)
})

server.on('error', ({ code, message }) => {
  console.error(code === 'EADDRINUSE' ? `port ${port} is taken; PORT names another one` : message)
  process.exitCode = 1
})
server.listen(port, '127.0.0.1', () => console.log(`the example app is on http://127.0.0.1:${server.address().port}/`))
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => server.close())

async function answer(request) {
  const [received, query] = request.url.split(/\?(.*)/s, 2)
  const path = received.replace(/(.)\/$/, '$1') // /login/ is /login
  const method = request.method === 'HEAD' ? 'GET' : request.method
  if (path === '/healthz') return textOf(200, 'ok\n')
  if (path === '/favicon.ico' || path.startsWith('/static/')) return fileOf(files[path])
  const session = trySession(request.rawHeaders)
  if (session === undefined) {
    const text = 'This app answers only what the gateway has signed. Open the address of the gateway instead.'
    return pageOf(403, noticePage({ title: 'Not this way', text }))
  }
  const handler = handlers[`${method} ${path}`]
  if (handler === undefined) return pageOf(404, noticePage({ title: 'Not found', text: 'Nothing is here.', link: '/' }))
  return await handler({ request, session, query: new URLSearchParams(query) })
}

/** What the gateway signed, or undefined for a request that it did not send. Such a request gets nothing. */
function trySession(rawHeaders) {
  try {
    return readSession(rawHeaders)
  } catch (error) {
    console.error(`refused: ${error.message}`)
    return undefined
  }
}

function userName({ claims }) {
  if (!claims.auth) return undefined
  const { userInfo } = claims.ses
  return typeof userInfo?.name === 'string' ? userInfo.name : 'friend'
}

/** The cart as a Map from tea to count. The session may have been written by another app, so it is looked at, too. */
function cartOf({ claims }) {
  const entries = Object.entries(claims.ses.cart ?? {})
  return new Map(entries.filter(([tea, count]) => teas.has(tea) && Number.isInteger(count) && count > 0))
}

/** JSON for a header: ASCII, since bytes beyond it are read in different ways by different servers. */
function headerJson(value) {
  const asEscape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(value).replace(/[\x7f-\uffff]/g, asEscape)
}

/**
 * `next` as a path of this site, or `/`. The gateway has looked at it before, but whoever redirects has to look again:
 * to a browser, `//evil.example`, `/\evil.example` and `/.//evil.example` are other sites.
 */
function safePath(next) {
  const url = URL.parse(next, 'http://app')
  const path = url === null ? '' : url.pathname + url.search + url.hash
  return next.startsWith('/') && url?.origin === 'http://app' && !path.startsWith('//') ? path : '/'
}

async function readForm(request) {
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes <= maxBodyBytes) chunks.push(chunk)
  }
  return new URLSearchParams(bytes > maxBodyBytes ? '' : Buffer.concat(chunks).toString())
}

function readFile(name) {
  return readFileSync(new URL(name, import.meta.url))
}

function seeOther(location, headers = {}) {
  return { status: 303, headers: { ...headers, Location: location }, body: '' }
}

function textOf(status, body) {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body }
}

function fileOf(file) {
  if (file === undefined) return textOf(404, 'not found\n')
  return { status: 200, headers: { 'Content-Type': file.type, 'Cache-Control': 'max-age=300' }, body: file.body }
}

function pageOf(status, body) {
  const policy =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
  return {
    status,
    headers: { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy },
    body,
  }
}
