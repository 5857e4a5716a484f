import { X509Certificate } from 'node:crypto'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/lib/clock.ts'
import { type CertificateFiles, openCertificates, type TlsSettings } from '../../src/server/certificates.ts'
import { type Door, openDoor } from '../../src/server/door.ts'
import type { HandshakeFailure } from '../../src/server/http-front.ts'
import { createListener, type Handlers, type Listener } from '../../src/server/listener.ts'
import { type Authority, type Issued, openAuthority } from '../support/certificates.ts'
import { askTls, type TlsAnswer, type TlsRequest } from '../support/tls-client.ts'

/** Says what the listener has made of the request. */
const handlers: Handlers = {
  async onRequest(visit, response) {
    const { isTls, clientCertificate = null, exchange } = visit
    response.shouldKeepAlive = false
    response.end(JSON.stringify({ isTls, clientCertificate, scheme: exchange.scheme }))
  },
  onAnswered: () => undefined,
  onUpgrade: async (_visit, { socket }) => void socket.destroy(),
  onRefused: () => undefined,
  clock: systemClock,
  onChunk: () => undefined,
}

/** What the tests of a file share: making certificates takes longer than using them. */
export interface TlsWorld extends AsyncDisposable {
  readonly root: string
  readonly authority: Authority
  readonly stranger: Authority
  /** One of four for the same names. */
  main(number: number): Issued
  readonly shop: Issued
}

export async function openTlsWorld(): Promise<TlsWorld> {
  const root = await mkdtemp(join(tmpdir(), 'sessiongate-tls-'))
  const authority = await openAuthority(root)
  const stranger = await openAuthority(root, 'stranger')
  const shop = await authority.issue({ hosts: ['shop.example'] })
  const pairs: Issued[] = []
  for (let count = 0; count < 4; count++) pairs.push(await authority.issue({ hosts: ['localhost', 'www.example'] }))
  return {
    root,
    authority,
    stranger,
    main: (number) => pairs[number] ?? shop,
    shop,
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  }
}

/** A folder of certificates and, once it is opened, a listener that shows them. */
export interface TlsStage extends AsyncDisposable {
  readonly at: (name: string) => string
  /** Puts a pair into the folder, each file in the place of the one before. */
  readonly put: (name: string, pair: Issued) => Promise<void>
  readonly files: (name: string) => CertificateFiles
  /** Default: the pair `main`. */
  readonly open: (settings?: Partial<TlsSettings>) => Promise<Listener>
  readonly openWithClientCa: (isRequired: boolean) => Promise<void>
  readonly port: () => number
  readonly ask: (options?: Partial<TlsRequest>) => Promise<TlsAnswer>
  /** What was told of the files, in order: how they were taken, or why not. */
  readonly told: { readonly name: string; readonly what: string }[]
  readonly failures: HandshakeFailure[]
}

export async function openTlsStage(world: TlsWorld): Promise<TlsStage> {
  const folder = await mkdtemp(join(world.root, 'listener-'))
  const stack = new AsyncDisposableStack()
  const told: TlsStage['told'] = []
  const failures: HandshakeFailure[] = []
  let door: Door | undefined
  const at = (name: string): string => join(folder, name)
  const files = (name: string): CertificateFiles => ({ name, certFile: at(`${name}.crt`), keyFile: at(`${name}.key`) })
  const port = (): number => Number(door?.address.split(':').at(-1))

  async function put(name: string, { cert, key }: Issued): Promise<void> {
    for (const [path, text] of [
      [at(`${name}.crt`), cert],
      [at(`${name}.key`), key],
    ] as const) {
      await writeFile(`${path}.new`, text)
      await rename(`${path}.new`, path)
    }
  }

  async function open(settings: Partial<TlsSettings> = {}): Promise<Listener> {
    const whole = { certificates: [files('main')], clientCa: undefined, minVersion: 'TLSv1.2' as const, ...settings }
    const notices = {
      onTaken: ({ name, how }: { name: string; how: string }) => void told.push({ name, what: how }),
      onRefused: ({ name, reason }: { name: string; reason: string }) => void told.push({ name, what: reason }),
    }
    const watch = { pollMs: 20, settleMs: 2 }
    const certificates = stack.use(await openCertificates(whole, { notices, clock: systemClock, watch, graceMs: 100 }))
    const onHandshakeFailure = ({ reason }: { reason: HandshakeFailure }): void => void failures.push(reason)
    const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const
    const tls = { settings: whole, certificates, onHandshakeFailure }
    door = stack.use(await openDoor(address))
    const listener = stack.use(createListener(door, handlers, { tls }))
    door.lead(listener.take)
    return listener
  }

  return {
    at,
    put,
    files,
    open,
    port,
    told,
    failures,
    ask: (options = {}) => askTls({ port: port(), ca: world.authority.cert, servername: 'localhost', ...options }),
    async openWithClientCa(isRequired) {
      await put('main', world.main(0))
      await writeFile(at('ca.crt'), world.authority.cert)
      await open({ clientCa: { name: 'ca', file: at('ca.crt'), isRequired } })
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

export function shows({ certificate }: TlsAnswer, { cert }: Issued): boolean {
  return certificate?.fingerprint256 === new X509Certificate(cert).fingerprint256
}

/** What the listener has made of the request. */
export function bodyOf({ text }: TlsAnswer): unknown {
  return JSON.parse(text.slice(text.indexOf('\r\n\r\n')))
}
