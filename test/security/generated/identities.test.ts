/**
 * 1,000 users, 500,000 requests on connections that they share, apps that break off, clients that leave at any moment: each
 * answer must carry the user whose cookie the request brought, as the app was told and as the test knows.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { startGateway } from '../../support/gateway.ts'
import { type PipelinedAnswer, sendAll } from '../../support/pipelining-client.ts'
import { createRandom, type Random } from '../../support/random.ts'
import { chosenSeed, counted, share, type Tally } from './tally.ts'

const seed = chosenSeed()
const USERS = 1_000
const ABORTING_CONNECTIONS = 2

interface User {
  readonly id: string
  readonly key: string
}

interface Case {
  readonly bytes: string
  readonly method: string
  /** Undefined for nobody. */
  readonly user: User | undefined
  readonly number: number
}

/** Says who asked, by the header and by the assertion; slowly, in pieces, or not to the end. */
function tell(request: IncomingMessage, response: ServerResponse, random: Random): void {
  const { headers, url = '' } = request
  const claims = JSON.parse(
    Buffer.from(String(headers['x-session-assertion']).split('.')[1] ?? '', 'base64url').toString(),
  )
  const body = JSON.stringify({ header: headers['x-user-id'] ?? null, assertion: claims.ses.userInfo?.id ?? null, url })
  const said = String(headers.say ?? '')
  const lines = said === '' ? [] : ['X-Session-Set', said]
  const answer = (): void => {
    if (random.chance(0.02)) response.socket?.resetAndDestroy()
    else if (random.chance(0.3)) response.writeHead(200, lines).end(body)
    else if (random.chance(0.1)) {
      response.writeHead(200, [...lines, 'Content-Length', String(body.length)]).write(body.slice(0, 20))
      setImmediate(() => (random.chance(0.3) ? response.socket?.resetAndDestroy() : response.end(body.slice(20))))
    } else response.writeHead(200, [...lines, 'Content-Length', String(body.length)]).end(body)
  }
  request.resume().on('error', () => undefined)
  if (random.chance(0.2)) setTimeout(answer, random.below(4))
  else answer()
}

const lineOf = (user: User | undefined, random: Random): string => {
  if (user !== undefined) return `Cookie: sessionid=${user.key}\r\n`
  return random.chance(0.5) ? '' : `Cookie: sessionid=${'0123456789abcdef'.repeat(2)}\r\n`
}

function caseOf(number: number, { users, random }: { users: readonly User[]; random: Random }): Case {
  const user = random.chance(0.05) ? undefined : random.pick(users)
  const method = random.pick(['GET', 'GET', 'GET', 'POST'])
  // Some change the session, but never who it is.
  const say = user !== undefined && random.chance(0.02) ? `Say: {"cart":${number}}\r\n` : ''
  const body = method === 'POST' ? 'Content-Length: 4\r\n\r\nbody' : '\r\n'
  return {
    bytes: `${method} /page/${number} HTTP/1.1\r\nHost: app.test\r\n${lineOf(user, random)}${say}${body}`,
    method,
    user,
    number,
  }
}

/** Whether an answer is the one to this request, and for this user. */
function isOwn({ user, number }: Case, { status, head, body }: PipelinedAnswer): boolean {
  const cookie = /^set-cookie: sessionid=([a-z0-9]+)/im.exec(head)?.[1]
  if (cookie !== undefined && cookie !== user?.key) return false
  // The gateway’s own refusal, on a machine that is too slow for its deadlines or by an app that broke off: nobody’s page.
  if (status >= 500) return !/user-\d/.test(body)
  const { header, assertion, url } = JSON.parse(body)
  return status === 200 && header === (user?.id ?? null) && assertion === header && url === `/page/${number}`
}

/** Sends whole and half requests of anybody, and leaves at any moment, until it is told to stop. */
async function abort(
  port: number,
  next: () => Case,
  { random, isOver }: { random: Random; isOver: () => boolean },
): Promise<number> {
  let aborted = 0
  while (!isOver()) {
    const { bytes } = next()
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('error', () => undefined).resume()
    const text = random.chance(0.5) ? bytes.slice(0, random.below(bytes.length)) : bytes.repeat(1 + random.below(5))
    socket.write(text, 'latin1')
    if (random.chance(0.5))
      await Promise.race([
        once(socket, 'data'),
        once(socket, 'close'),
        new Promise((done) => setTimeout(done, 20)),
      ]).catch(() => undefined)
    else await new Promise((done) => setTimeout(done, random.below(5)))
    if (random.chance(0.8)) socket.resetAndDestroy()
    else socket.destroy()
    aborted += 1
  }
  return aborted
}

async function logIn(port: number): Promise<User[]> {
  const users: User[] = []
  const logins = Array.from({ length: USERS }, (_, i) => ({
    id: `user-${i}`,
    bytes: `GET /login HTTP/1.1\r\nHost: app.test\r\nSay: {"userInfo":{"id":"user-${i}"}}\r\n\r\n`,
  }))
  // An app that breaks off lets nobody in: whoever was not, tries again.
  for (let left = logins; left.length > 0; ) {
    const failed: typeof logins = []
    await sendAll(port, left, (login, answer) => {
      const key = /^set-cookie: sessionid=([a-z0-9]+)/im.exec(answer?.head ?? '')?.[1]
      if (key === undefined) failed.push(login)
      else users.push({ id: login.id, key })
    })
    left = failed
  }
  return users
}

async function soak(t: TestContext, tally: Tally): Promise<void> {
  const random = createRandom(seed)
  const server = createServer((request, response) => tell(request, response, random))
  using closing = new DisposableStack()
  closing.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await using gateway = await startGateway({
    config: `
admin: off
session: { user_id: userInfo.id }
upstreams: { app: { servers: ["http://127.0.0.1:${port}"], retries: 0, writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, headers: { session: { X-User-Id: userInfo.id } } }]
`,
    onRequestLine: () => undefined,
  })
  const users = await logIn(gateway.port)
  assert.equal(new Set(users.map(({ key }) => key)).size, USERS)
  const count = share(500_000)
  let sent = 0
  let broken = 0
  let refused = 0
  let isOver = false
  const next = (): Case => caseOf(sent++, { users, random })
  function* requests(): Generator<Case> {
    for (let i = 0; i < count; i += 1) yield next()
  }
  const aborting = Array.from({ length: ABORTING_CONNECTIONS }, () =>
    abort(gateway.port, next, { random, isOver: () => isOver }),
  )
  const sending = sendAll(
    gateway.port,
    requests(),
    (request, answer) => {
      if ((answer?.status ?? 0) >= 500) refused += 1
      // The app has broken off in mid-answer: there is nothing whole to look at.
      if (answer === undefined || (answer.status === 200 && !answer.body.endsWith('}'))) {
        broken += 1
        return
      }
      tally.look(isOwn(request, answer), () => `${JSON.stringify(request)} was answered with ${JSON.stringify(answer)}`)
    },
    { connections: 24, depth: 3 },
  )
  await sending.finally(() => {
    isOver = true
  })
  const aborted = (await Promise.all(aborting)).reduce((sum, one) => sum + one, 0)
  t.diagnostic(
    `${USERS} users, ${tally.looks} answers, ${broken} broken off by the app, ${refused} refused, ${aborted} connections cut by clients`,
  )
  assert.equal(gateway.process.exitCode, null, gateway.stderr().slice(-3000))
  assert.doesNotMatch(gateway.stderr(), /^\s+at |Uncaught|Unhandled/m)
  assert.ok(tally.looks - refused > count * 0.9, `${tally.looks - refused} of ${count} were answered whole`)
}

test('every answer is for the user whose cookie the request brought', (t) =>
  counted(t, { promise: 'answers for another user', unit: 'answers', seed }, (tally) => soak(t, tally)))
