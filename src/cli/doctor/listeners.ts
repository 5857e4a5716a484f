import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { JWKS_PATH } from '../../assertion/jwks.ts'
import type { Config } from '../../config/config.ts'
import { publicHash } from '../../config/fingerprint.ts'
import { isLocalAddress } from '../../config/listen-address.ts'
import type { AdminConfig, ListenConfig, PublicListenConfig } from '../../config/listen-config.ts'
import { type Diagnosis, fault, good, warning } from '../../lib/diagnosis.ts'
import { errorCodeOf } from '../../lib/error-code.ts'
import type { ListenAddress } from '../../lib/listening.ts'
import { ANSWER_MS, type Area } from './areas.ts'
import { askOn, openSocket, type ServerAnswer, secureSocket } from './asking.ts'
import { servedHosts } from './configuration.ts'

/** Each address that the file listens on: whether it is free, or who has it. */
export function listenerAreas(config: Config): Area[] {
  const [host = 'localhost'] = servedHosts(config)
  const { probes, admin } = config
  const operator = probes?.listen ?? admin?.listen
  const isTls = admin?.tls !== undefined && operator?.text === admin.listen.text
  const own = { host: host.replace(/^\*/, 'any'), operator: operator && { listen: operator, isTls } }
  const areas = config.listen.map((listen) => ({
    name: `listener ${listen.text}`,
    examine: () => examineListener(listen, () => isOurs(listen, own)),
  }))
  for (const listen of [config.admin?.listen, config.probes?.listen]) {
    if (listen === undefined) continue
    areas.push({ name: `operator ${listen.text}`, examine: () => examineOperator(config, listen) })
  }
  return areas
}

async function examineOperator(config: Config, listen: ListenConfig): Promise<Diagnosis[]> {
  const { admin } = config
  const isTls = admin?.tls !== undefined && listen.text === admin.listen.text
  const question: Question = (path) => ask(listen, path, { isTls })
  const found = await examineListener(listen, async () => (await question('/livez')).body.startsWith('live'))
  if (found.some(({ text }) => text.endsWith(HELD))) found.push(...(await diagnoseRunning(config, question)))
  if (listen === admin?.listen) found.push(diagnoseApi(admin))
  return found
}

function diagnoseApi({ listen, token, tls }: AdminConfig): Diagnosis {
  const keys = [
    ...(token === undefined ? [] : ['admin.token']),
    ...(tls?.clientCa === undefined ? [] : [`a certificate by ${tls.clientCa.name}`]),
  ]
  if (keys.length > 0) return good(`/api is open to whoever has ${keys.join(', or ')}`)
  if (isLocalAddress(listen.address)) return good('only this machine reaches it, and there is no /api (no token)')
  return warning('other machines read /metrics there, without a token', 'use 127.0.0.1, and probes for the rest')
}

type Question = (path: string) => Promise<ServerAnswer>

/** What the gateway that runs says of itself, and whether it runs with this file as it is now. */
async function diagnoseRunning(config: Config, question: Question): Promise<Diagnosis[]> {
  const [ready, metrics] = await Promise.all([question('/readyz'), question('/metrics')])
  const hash = /^sessiongate_config_info\{[^}]*hash="([0-9a-f]+)"/m.exec(metrics.body)?.[1]
  const isThis = hash === publicHash(config)
  return [
    ready.status === 200
      ? good('the gateway that runs is ready')
      : fault(`the gateway that runs is not ready: ${ready.body.trim()}`, 'look at what is not "up" there'),
    ...(hash === undefined ? [] : [isThis ? good('it runs with this configuration') : another]),
  ]
}

const another = warning(
  'it runs with another configuration than this file is by now',
  'reload it (SIGHUP, systemctl reload) and look at its log; or it was started with another file, or in another folder',
)

const HELD = 'is held by a sessiongate that runs'

/** Listening is tried for a moment: it is the only way to know. */
async function examineListener(listen: ListenConfig, isOurs: () => Promise<boolean>): Promise<Diagnosis[]> {
  const { address, text } = listen
  const code = address.kind === 'unix' ? await socketObstacle(address.path) : await portObstacle(address)
  switch (code) {
    case undefined:
      return [good(`${text} is free`)]
    case 'EADDRINUSE': {
      if (await isOurs().catch(() => false)) return [good(`${text} ${HELD}`)]
      const port = address.kind === 'tcp' ? `ss -ltnp 'sport = :${address.port}'` : `ss -lxp | grep ${address.path}`
      return [fault(`${text} is taken by another program`, `${port} tells which one; stop it, or take another address`)]
    }
    case 'EACCES':
      return [fault(`${text} may not be opened by this user`, deniedAdvice(address))]
    case 'EADDRNOTAVAIL':
      return [fault(`${text}: this machine has no such address`, 'ip address shows those that it has')]
    case 'ENOENT':
      return [fault(`${text}: its folder does not exist`, 'make it, or RuntimeDirectory=sessiongate with systemd')]
    default:
      return [fault(`${text} cannot be opened (${code})`)]
  }
}

function deniedAdvice(address: ListenAddress): string {
  return address.kind === 'unix'
    ? `let this user write in ${dirname(address.path)}`
    : 'ports below 1024 take AmbientCapabilities=CAP_NET_BIND_SERVICE (systemd), or a port above'
}

/** Undefined: it could be opened. */
async function portObstacle({ host, port }: Extract<ListenAddress, { kind: 'tcp' }>): Promise<string | undefined> {
  const server = createServer()
  try {
    server.listen({ port, host, exclusive: true })
    await once(server, 'listening')
    return undefined
  } catch (error) {
    return errorCodeOf(error)
  } finally {
    server.close()
  }
}

/** The file of a socket on which nobody answers is in nobody's way: the gateway takes it away. */
async function socketObstacle(path: string): Promise<string | undefined> {
  try {
    const socket = await openSocket({ path }, AbortSignal.timeout(ANSWER_MS))
    socket.destroy()
    return 'EADDRINUSE'
  } catch (error) {
    const code = errorCodeOf(error)
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') return code
  }
  return await access(dirname(path), constants.W_OK | constants.X_OK).then(() => undefined, errorCodeOf)
}

interface Own {
  readonly host: string
  readonly operator: { readonly listen: ListenConfig; readonly isTls: boolean } | undefined
}

/** Our own addresses are answered on every listener; one that speaks the PROXY protocol first is known by the operator's. */
async function isOurs(listen: PublicListenConfig, own: Own): Promise<boolean> {
  if (listen.proxyProtocol) {
    if (own.operator === undefined) return false
    return (await ask(own.operator.listen, '/livez', own.operator)).body.startsWith('live')
  }
  const answer = await ask(listen, JWKS_PATH, { host: own.host, isTls: listen.tls !== undefined })
  const isRedirect = listen.httpsPort !== undefined && answer.headers.location?.includes(JWKS_PATH) === true
  return (
    isRedirect || answer.headers['content-type'] === 'application/jwk-set+json' || /urn:sessiongate:/.test(answer.body)
  )
}

async function ask(
  { address }: ListenConfig,
  path: string,
  { host = 'localhost', isTls = false }: { readonly host?: string; readonly isTls?: boolean } = {},
): Promise<ServerAnswer> {
  const signal = AbortSignal.timeout(ANSWER_MS)
  const target =
    address.kind === 'unix' ? { path: address.path } : { host: reachable(address.host), port: address.port }
  const plain = await openSocket(target, signal)
  try {
    // Whose certificate it is does not matter here: nothing secret is sent.
    const socket = isTls ? await secureSocket(plain, { host, rejectUnauthorized: false }, signal) : plain
    const headers = { Host: host, Accept: 'application/json', 'User-Agent': 'sessiongate-doctor' }
    return await askOn(socket, { method: 'GET', path, headers }, signal)
  } finally {
    plain.destroy()
  }
}

/** An address that means "all interfaces" is reached by the loopback one. */
function reachable(host: string | undefined): string {
  return host === undefined || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}
