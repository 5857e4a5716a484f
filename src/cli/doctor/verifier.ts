import { readFile } from 'node:fs/promises'
import { ASSERTION_HEADER, createAssertionIssuer } from '../../assertion/issuer.ts'
import { readSigningKeys, type SigningKeySpec } from '../../assertion/keys.ts'
import { compilePlainHeaders } from '../../assertion/plain-headers.ts'
import type { ClientTlsConfig, Config, RouteConfig, UpstreamConfig } from '../../config/config.ts'
import { SIGNING_KEY_FILE } from '../../config/own-files.ts'
import { parseUpstreamServer } from '../../config/upstream-server.ts'
import { jsonText, parseSessionData, type SessionData } from '../../django/json.ts'
import { type Diagnosis, fault, good } from '../../lib/diagnosis.ts'
import { errorCodeOf } from '../../lib/error-code.ts'
import { isErrno } from '../../sessions/store-failure.ts'
import { CommandError } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import type { AreaReport } from './areas.ts'
import { servedHosts } from './configuration.ts'

/** What was said on the command line, in part by default. */
export interface VerifierOptions {
  readonly upstream: string
  readonly key: string
  readonly expectStatus: Statuses
  /** JSON of the session's data. */
  readonly session: string
}

interface Verification extends Partial<VerifierOptions> {
  readonly url: string
  readonly readGeneratedKey: () => Promise<string>
}

/** The statuses by which an app shows that it accepts a request. */
export interface Statuses {
  readonly text: string
  readonly includes: (status: number) => boolean
}

/** A request is one of an app's own pages, which may take longer than a health check. */
const REQUEST_MS = 5000

/** An assertion of an hour ago: no clock difference that a verifier allows makes it valid. */
const LONG_AGO_MS = 3_600_000

/** `2xx`, `200`, `200,302`. @throws {CommandError} for anything else. */
export function parseStatuses(text: string): Statuses {
  const parts = text.split(',').map((part) => part.trim().toLowerCase())
  if (!parts.every((part) => /^[1-5](xx|\d\d)$/.test(part)))
    throw new CommandError(exitCodes.usage, `statuses are written as 2xx or 200,302, not ${JSON.stringify(text)}`)
  const patterns = parts.map((part) => part.replace('xx', ''))
  return { text: parts.join(', '), includes: (status) => patterns.some((part) => String(status).startsWith(part)) }
}

/**
 * Sends an app one request as the gateway would, and several that the gateway never sends: expired, for another app,
 * unsigned, misspelt, without any assertion. All of them are GET, follow no redirect, and carry no cookie.
 *
 * @throws {CommandError} when it is not clear whose keys to take.
 */
export async function examineVerifier(config: Config, verification: Verification): Promise<AreaReport> {
  const upstream = upstreamFor(config, verification)
  const url = readUrl(verification.url)
  const statuses = verification.expectStatus ?? parseStatuses('2xx')
  const probes = await probesFor(config, upstream, verification)
  await using stack = new AsyncDisposableStack()
  // Only here: no other command should wait for it to load.
  const { Agent, request } = await import('undici')
  const agent = new Agent({ connect: { timeout: REQUEST_MS, ...(await tlsOf(upstream.tls)) } })
  stack.defer(() => agent.close())
  const host = hostFor(config, upstream, url)
  const ask = async ({ lines }: Probe): Promise<number | string> => {
    try {
      const headers = [...lines, 'Accept', 'text/html, */*', ...(host === undefined ? [] : ['Host', host])]
      const limits = { headersTimeout: REQUEST_MS, bodyTimeout: REQUEST_MS }
      const { statusCode, body } = await request(url, { method: 'GET', headers, dispatcher: agent, ...limits })
      await body.dump()
      return statusCode
    } catch (error) {
      return errorCodeOf(error)
    }
  }
  const how = good(
    `as the upstream ${upstream.name}; an answer with ${statuses.text} counts as accepted, any other as refused`,
    verification.expectStatus === undefined ? '--expect-status says otherwise' : undefined,
  )
  // One after the other: an app that locks out whoever is refused too often shows in the order.
  const diagnoses = [how]
  for (const probe of probes) diagnoses.push(judge(probe, await ask(probe), statuses))
  return { name: `verify ${url}`, diagnoses }
}

interface Probe {
  readonly what: string
  readonly isValid: boolean
  /** What an app lacks that accepts it. */
  readonly remedy: string
  readonly lines: readonly string[]
}

function judge({ what, isValid, remedy }: Probe, status: number | string, statuses: Statuses): Diagnosis {
  if (typeof status === 'string')
    return fault(`${what}: no answer (${status})`, 'is the app running, and is this its address?')
  const isAccepted = statuses.includes(status)
  const text = `${what}: ${isAccepted ? 'accepted' : 'refused'} (${status})`
  return isAccepted === isValid ? good(text) : fault(text, remedy)
}

const page = 'docs/header-contract.md, "How to verify"'

async function probesFor(config: Config, { name }: UpstreamConfig, verification: Verification): Promise<Probe[]> {
  const specs = await signingSpecs(config, verification)
  const route = routeFor(config, name)
  const data = readData(config, verification.session)
  const lines = (audience: string, now: number): string[] => {
    const { algorithm, issuer, ttlMs, bind, maxBytes } = config.signing
    const assertions = createAssertionIssuer({
      // Signed with the key of this upstream whatever the audience: what is tried is whether `aud` is looked at.
      keys: readSigningKeys(specs, { algorithm, audience: name }),
      ...{ issuer, audience, ttlSeconds: ttlMs / 1000, bind, maxBytes },
      include: route?.include ?? null,
      plainHeaders: compilePlainHeaders(route?.headers.session ?? new Map()),
    })
    const subject = { key: 'doctor', publicId: 'sessiongate-doctor-000', data, loggedIn: true, now }
    return [...assertions.issue({ ...subject, request: { method: 'GET', url: verification.url } }).lines]
  }
  const valid = lines(name, Date.now())
  const others = valid.slice(2)
  return [
    { what: 'valid', isValid: true, lines: valid, remedy: refusalAdvice(name, config) },
    {
      ...{ what: 'expired an hour ago', isValid: false, lines: lines(name, Date.now() - LONG_AGO_MS) },
      remedy: `the app must look at exp: ${page}, step 5`,
    },
    {
      ...{ what: 'for another app (aud)', isValid: false, lines: lines(`not-${name}`, Date.now()) },
      remedy: `the app must compare aud with "${name}": ${page}, step 4`,
    },
    {
      ...{
        what: 'unsigned (alg none)',
        isValid: false,
        lines: [ASSERTION_HEADER, unsigned(valid[1] ?? ''), ...others],
      },
      remedy: `the app must take no algorithm from the token, and no token without a signature: ${page}, steps 2 and 3`,
    },
    {
      ...{
        what: 'misspelt (X_Session_Assertion)',
        isValid: false,
        lines: ['X_Session_Assertion', valid[1] ?? '', ...others],
      },
      remedy:
        'its server takes "_" for "-", so two headers become one: let it, or what is before it, drop names with "_"',
    },
    {
      ...{ what: 'without an assertion', isValid: false, lines: others },
      remedy: 'the app verifies nothing here: whoever reaches its port is whoever he says, or the page is open to all',
    },
  ]
}

function refusalAdvice(name: string, { signing }: Config): string {
  const how = signing.algorithm === 'HS256' ? `sessiongate keys derive --upstream ${name}` : 'the JWKS document'
  return `compare the key (${how}), the kid, iss "${signing.issuer}", aud "${name}" and the clock; or name a page that answers 2xx, and --session`
}

/** The same claims under `alg: none`, with an empty signature. */
function unsigned(token: string): string {
  const [, claims = ''] = token.split('.')
  return `${Buffer.from('{"alg":"none","typ":"sessiongate+jwt"}').toString('base64url')}.${claims}.`
}

async function signingSpecs({ signing }: Config, { key, readGeneratedKey }: Verification): Promise<SigningKeySpec[]> {
  const { keys } = signing
  if (keys.generated) {
    if (key !== undefined) throw new CommandError(exitCodes.usage, 'the file names no keys: leave --key away')
    // Reading it would make one, which no app can know.
    await readFile(SIGNING_KEY_FILE).catch((error: unknown) => {
      if (!isErrno(error)) throw error
      const why = `${SIGNING_KEY_FILE} is not there (${error.code})`
      throw new CommandError(
        exitCodes.failed,
        `${why}: serve makes it at its first start, in the folder that it runs in`,
      )
    })
    return [{ id: 'generated', secret: await readGeneratedKey() }]
  }
  const chosen = key === undefined ? keys.keys[0] : keys.keys.find(({ id }) => id === key)
  if (chosen === undefined) {
    const known = keys.keys.map(({ id }) => id).join(', ')
    throw new CommandError(exitCodes.usage, `no key is called ${key}; the file has: ${known}`)
  }
  if (chosen.kind === 'secret') return [{ id: chosen.id, secret: chosen.secret.reveal() }]
  return [{ id: chosen.id, privateKey: chosen.privateKey.reveal() }]
}

/** The public host where the gateway would send that: an app may know no other. Undefined: that of the URL. */
function hostFor(config: Config, { passHost, servers }: UpstreamConfig, { origin }: URL): string | undefined {
  if (!passHost || !servers.includes(parseUpstreamServer(origin)?.origin ?? '')) return undefined
  return servedHosts(config)[0]?.replace(/^\*/, 'any')
}

function upstreamFor({ upstreams }: Config, { upstream: name, url }: Verification): UpstreamConfig {
  const all = [...upstreams.values()]
  const origin = parseUpstreamServer(readUrl(url).origin)?.origin
  const fitting =
    name === undefined ? all.filter(({ servers }) => origin !== undefined && servers.includes(origin)) : []
  const [chosen, another] =
    name === undefined ? (fitting.length === 0 ? all : fitting) : all.filter((one) => one.name === name)
  if (chosen !== undefined && another === undefined) return chosen
  const known = all.map((one) => one.name).join(', ')
  const why = name === undefined ? `several upstreams could be meant by ${url}` : `no upstream is called ${name}`
  throw new CommandError(exitCodes.usage, `${why}; name one with --upstream: ${known}`)
}

/** What such an app gets: of its routes the last one, which is mostly the one for everything. */
function routeFor({ routes }: Config, upstream: string): RouteConfig | undefined {
  return routes.findLast((route) => route.upstream === upstream && route.usesSession)
}

function readUrl(text: string): URL {
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null
  if (url !== null && url.username === '' && url.password === '') return url
  throw new CommandError(
    exitCodes.usage,
    '--verify-upstream takes the address of a page, such as http://127.0.0.1:8000/',
  )
}

function readData({ session }: Config, json: string | undefined): SessionData {
  if (json === undefined) {
    const isId = session.authKey === session.userId || session.authKey.startsWith('_')
    return new Map([[session.authKey, jsonText(isId ? '0' : { id: 0, name: 'doctor' })]])
  }
  const data = parseSessionData(json)
  if (data !== undefined) return data
  throw new CommandError(exitCodes.usage, '--session takes the data of a session as a JSON object')
}

async function tlsOf(tls: ClientTlsConfig | undefined): Promise<Record<string, string>> {
  const parts = { ca: tls?.caFile, cert: tls?.certFile, key: tls?.keyFile }
  const found: Record<string, string> = {}
  for (const [name, path] of Object.entries(parts)) if (path !== undefined) found[name] = await readFile(path, 'utf8')
  return tls?.serverName === undefined ? found : { ...found, servername: tls.serverName }
}
