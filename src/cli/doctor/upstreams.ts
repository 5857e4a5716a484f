import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { TLSSocket } from 'node:tls'
import type { ClientTlsConfig, Config, UpstreamConfig } from '../../config/config.ts'
import { type Diagnosis, diagnoseClock, fault, good, warning } from '../../lib/diagnosis.ts'
import { errorCodeOf } from '../../lib/error-code.ts'
import { readServerAddress, type ServerAddress } from '../../proxy/server-address.ts'
import { ANSWER_MS, type Area } from './areas.ts'
import { askOn, openSocket, secureSocket } from './asking.ts'
import { diagnoseEnd } from './certificates.ts'
import { servedHosts } from './configuration.ts'

/** Each server behind the gateway. */
export function upstreamAreas(config: Config): Area[] {
  const [first] = servedHosts(config)
  const host = first?.replace(/^\*/, 'any')
  return [...config.upstreams.values()].flatMap((upstream) =>
    upstream.servers.map((origin) => ({
      name: `upstream ${upstream.name} ${origin}`,
      examine: () => examineServer(readServerAddress(origin), upstream, host),
    })),
  )
}

/** Connects, shakes hands, asks: what was reached is told of, and where it ended. */
async function examineServer(
  address: ServerAddress,
  upstream: UpstreamConfig,
  host: string | undefined,
): Promise<Diagnosis[]> {
  const signal = AbortSignal.timeout(ANSWER_MS)
  const startedAt = performance.now()
  const since = (): string => `${(performance.now() - startedAt).toFixed(1)} ms`
  const found: Diagnosis[] = []
  const plain = await openSocket(address.target, signal).catch(errorCodeOf)
  if (typeof plain === 'string') return [connectFault(address, plain)]
  try {
    found.push(good(`${address.label} takes connections, ${since()}`))
    const socket = address.isTls ? await handshake(plain, { address, tls: upstream.tls, signal, found }) : plain
    if (socket === undefined) return found
    if (address.isTls) found[0] = good(`${address.label} takes connections and shakes hands, ${since()}`)
    const path = upstream.health?.path ?? '/'
    const method = upstream.health === undefined ? 'HEAD' : 'GET'
    const authority =
      upstream.passHost && upstream.health === undefined ? (host ?? address.authority) : address.authority
    const headers = { Host: upstream.health?.host ?? authority, Accept: '*/*', 'User-Agent': 'sessiongate-doctor' }
    const from = Date.now()
    const { status, headers: said } = await askOn(socket, { method, path, headers }, signal)
    found.push(diagnoseStatus(`${method} ${path} for ${headers.Host}`, status, since()))
    const date = Date.parse(said.date ?? '')
    // Whole seconds, and some apps write it once a second.
    if (!Number.isNaN(date)) found.push(...onlyBad(diagnoseClock(address.label, date, [from - 2000, Date.now()])))
  } catch (error) {
    found.push(
      fault(`${address.label} gives no answer to HTTP (${wordOf(error)})`, 'is it an HTTP server, and this port?'),
    )
  } finally {
    plain.destroy()
  }
  return found
}

function connectFault({ label }: ServerAddress, code: string): Diagnosis {
  const advice = 'start the app, or correct servers'
  switch (code) {
    case 'ECONNREFUSED':
      return fault(`nothing listens on ${label}`, advice)
    case 'ENOENT':
      return fault(`there is no socket ${label}`, advice)
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return fault(
        `the name in ${label} has no address (${code})`,
        'correct the name; getent hosts NAME asks as Node does',
      )
    case 'ABORT_ERR':
      return fault(
        `${label} does not take connections within ${ANSWER_MS / 1000} s`,
        'look at firewalls and routes between',
      )
    case 'EACCES':
      return fault(`this user may not use the socket ${label}`, 'put the gateway into the group of the socket')
    default:
      return fault(`${label} cannot be reached (${code})`, advice)
  }
}

interface Handshake {
  readonly address: ServerAddress
  readonly tls: ClientTlsConfig | undefined
  readonly signal: AbortSignal
  readonly found: Diagnosis[]
}

/** As requests do it: with the same authorities, the same name, the same certificate of ours. */
async function handshake(
  plain: Awaited<ReturnType<typeof openSocket>>,
  { address, tls, signal, found }: Handshake,
): Promise<TLSSocket | undefined> {
  const { target, label } = address
  const host = 'host' in target ? target.host : 'localhost'
  try {
    const pem = async (path: string | undefined) => (path === undefined ? undefined : await readFile(path, 'utf8'))
    const [ca, cert, key] = await Promise.all([tls?.caFile, tls?.certFile, tls?.keyFile].map(pem))
    const name = tls?.serverName
    const socket = await secureSocket(
      plain,
      { host, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), ...(name && { servername: name }) },
      signal,
    )
    const { raw } = socket.getPeerCertificate()
    if (raw !== undefined)
      found.push(...onlyBad(diagnoseEnd(`the certificate of ${label}`, new X509Certificate(raw), Date.now())))
    return socket
  } catch (error) {
    found.push(
      fault(`${label} is not believed, or does not speak TLS (${wordOf(error)})`, tlsAdvice(errorCodeOf(error))),
    )
    return undefined
  }
}

function tlsAdvice(code: string): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'name it as its certificate does: tls.server_name'
  if (/SELF_SIGNED|UNABLE_TO|ISSUER/.test(code)) return 'name the authority that signed its certificate: tls.ca'
  if (code === 'CERT_HAS_EXPIRED') return 'have the certificate of the app renewed'
  return 'is this port one of https, and do both sides speak TLS 1.2 or newer?'
}

function diagnoseStatus(asked: string, status: number, since: string): Diagnosis {
  const text = `${asked} is answered with ${status}, ${since}`
  if (status >= 500) return warning(text, 'look into the log of the app')
  if (status === 400) return warning(text, 'does the app know the public host? Django: ALLOWED_HOSTS')
  return good(text)
}

function onlyBad(diagnosis: Diagnosis): Diagnosis[] {
  return diagnosis.verdict === 'good' ? [] : [diagnosis]
}

function wordOf(error: unknown): string {
  const code = errorCodeOf(error)
  return code === 'ABORT_ERR' ? `nothing within ${ANSWER_MS / 1000} s` : code
}
