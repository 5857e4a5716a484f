import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContext, type SecureContextOptions, type SecureVersion } from 'node:tls'
import {
  CertificateFlaw,
  type CertificatePair,
  explainValidity,
  readAuthorities,
  readCertificatePair,
} from '../lib/certificate.ts'
import type { Clock, EpochMs } from '../lib/clock.ts'
import { errorCodeOf } from '../lib/error-code.ts'
import { type FileWatchOptions, openFileWatch } from '../lib/file-watch.ts'

/** Two PEM files. */
export interface CertificateFiles {
  /** For log and metrics. */
  readonly name: string
  readonly certFile: string
  readonly keyFile: string
}

/** How a listener speaks TLS. */
export interface TlsSettings {
  /** The first is shown to clients that name no host, or one that none is for. At least one, but where none is to be shown. */
  readonly certificates: readonly CertificateFiles[]
  /** Clients are asked for a certificate by these authorities; undefined = they are not asked. */
  readonly clientCa: { readonly name: string; readonly file: string; readonly isRequired: boolean } | undefined
  readonly minVersion: Extract<SecureVersion, 'TLSv1.2' | 'TLSv1.3'>
}

/** Told of what becomes of the files. `name` is that of the settings. */
export interface CertificateNotices {
  /** It is shown from now on: from the start, as a new one, or as the one that it was when its file was in disorder. */
  onTaken(taken: { name: string; how: 'first' | 'replaced' | 'restored'; notAfter: EpochMs | undefined }): void
  /** What stands in the file cannot be used; what was read before stays. */
  onRefused(refused: { name: string; reason: string }): void
}

export interface CertificateParts {
  readonly notices: CertificateNotices
  readonly clock: Clock
  readonly watch?: Pick<FileWatchOptions, 'pollMs' | 'settleMs'>
  /** How long a pair that does not fit together is given until it is called bad: its two files are written one after the other. Default 1,000. */
  readonly graceMs?: number
}

/** What `tls.Server` can be given anew while it runs. */
export interface SecureServer {
  setSecureContext(options: SecureContextOptions): void
}

/**
 * Opens the certificates of one listener and goes on watching their files.
 *
 * @throws {Error} when one of them cannot be used; an expired one can, since no certificate is no better than an old one.
 */
export async function openCertificates(settings: TlsSettings, parts: CertificateParts): Promise<Certificates> {
  const certificates = new Certificates(settings, parts)
  await certificates.begin()
  return certificates
}

/** A file, or two that belong together, and what of it is in force. */
interface Slot {
  readonly name: string
  readonly read: () => Promise<Content>
  content: Content | undefined
  isRefused: boolean
}

interface Content {
  /** The files as they stand, to tell one from another. */
  readonly text: string
  readonly pair: CertificatePair | undefined
}

export class Certificates implements AsyncDisposable {
  readonly #settings: TlsSettings
  readonly #parts: CertificateParts
  readonly #pairs: readonly Slot[]
  readonly #authorities: Slot | undefined
  readonly #closing = new AbortController()
  /** What changes while the files are read for the first time is looked at after that. */
  readonly #begun = Promise.withResolvers<void>()
  /** Behind the first, which is the server's own. */
  #contexts: readonly { readonly pair: CertificatePair; readonly context: SecureContext | undefined }[] = []
  #server: SecureServer | undefined
  #watch: AsyncDisposable | undefined

  constructor(settings: TlsSettings, parts: CertificateParts) {
    this.#settings = settings
    this.#parts = parts
    this.#pairs = settings.certificates.map((files) => slot(files.name, () => readPair(files)))
    const { clientCa } = settings
    this.#authorities = clientCa && slot(clientCa.name, () => readClientCa(clientCa.file))
  }

  async begin(): Promise<void> {
    const { certificates, clientCa } = this.#settings
    const paths = [...certificates.flatMap(({ certFile, keyFile }) => [certFile, keyFile]), clientCa?.file]
    const files = paths.filter((path) => path !== undefined)
    // Before the first reading: what is written in between must not be missed.
    this.#watch = await openFileWatch({ ...this.#parts.watch, paths: files, onChange: () => this.#renew() })
    try {
      for (const slot of this.#slots) {
        slot.content = await slot.read().catch((error: unknown) => {
          throw new Error(`${slot.name}: ${reasonOf(error)}`, { cause: error })
        })
        this.#tell(slot, 'first')
      }
      this.#build()
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
    this.#begun.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#begun.resolve()
    await this.#watch?.[Symbol.asyncDispose]()
  }

  /** For `createServer`, and for `setSecureContext` after each swap. */
  get options(): SecureContextOptions {
    const [first] = this.#pairs
    return this.#contextOptions(first?.content?.pair)
  }

  /** From now on that server shows what the files say. Handshakes under way end with what they began with. */
  attach(server: SecureServer): void {
    this.#server = server
  }

  /**
   * The context for a name that a client asks for (RFC 6066, section 3); undefined for the server's own. A certificate
   * that has the very name goes before one with a wildcard for it, else the first in the file does.
   */
  contextFor(name: string): SecureContext | undefined {
    if (!/^[\w.-]{1,253}$/.test(name)) return undefined
    // Names of hosts may not have them (RFC 1123, section 2.1), and OpenSSL finds no wildcard for them; browsers do.
    const withoutUnderscores = name.replaceAll('_', '-')
    const found =
      this.#contexts.find(({ pair }) => pair.leaf.checkHost(name, { subject: 'never', wildcards: false })) ??
      this.#contexts.find(({ pair }) => pair.leaf.checkHost(withoutUnderscores, { subject: 'never' }))
    return found?.context
  }

  get #slots(): readonly Slot[] {
    return this.#authorities === undefined ? this.#pairs : [...this.#pairs, this.#authorities]
  }

  async #renew(): Promise<void> {
    await this.#begun.promise
    if (this.#closing.signal.aborted) return
    const suspects = await this.#take(this.#slots)
    if (suspects.length === 0) return
    await pause(this.#parts.graceMs ?? 1_000, this.#closing.signal)
    if (this.#closing.signal.aborted) return
    for (const { slot, reason } of await this.#take(suspects.map(({ slot }) => slot))) {
      slot.isRefused = true
      this.#parts.notices.onRefused({ name: slot.name, reason })
    }
  }

  /** Puts what is new and good into force; gives back what is not good. */
  async #take(slots: readonly Slot[]): Promise<{ slot: Slot; reason: string }[]> {
    const refused: { slot: Slot; reason: string }[] = []
    const replaced: Slot[] = []
    for (const slot of slots) {
      try {
        const content = await slot.read()
        if (content.text !== slot.content?.text) {
          this.#refuseOutdated(content)
          slot.content = content
          slot.isRefused = false
          replaced.push(slot)
        } else if (slot.isRefused) {
          slot.isRefused = false
          this.#tell(slot, 'restored')
        }
      } catch (error) {
        refused.push({ slot, reason: reasonOf(error) })
      }
    }
    if (replaced.length > 0 && !this.#closing.signal.aborted) {
      this.#build()
      this.#server?.setSecureContext(this.options)
    }
    for (const slot of replaced) this.#tell(slot, 'replaced')
    return refused
  }

  /** At the start there is nothing better; later there is what is in force. */
  #refuseOutdated({ pair }: Content): void {
    const flaw = pair && explainValidity(pair, this.#parts.clock())
    if (flaw !== undefined) throw new CertificateFlaw('cert', flaw, 'have it renewed')
  }

  #tell({ name, content }: Slot, how: 'first' | 'replaced' | 'restored'): void {
    this.#parts.notices.onTaken({ name, how, notAfter: content?.pair?.leaf.validToDate.getTime() })
  }

  #build(): void {
    const pairs = this.#pairs.map(({ content }) => content?.pair).filter((pair) => pair !== undefined)
    this.#contexts = pairs.map((pair, at) => ({
      pair,
      context: at === 0 ? undefined : createSecureContext(this.#contextOptions(pair)),
    }))
  }

  #contextOptions(pair: CertificatePair | undefined): SecureContextOptions {
    const { minVersion } = this.#settings
    const ca = this.#authorities?.content?.text
    const own = pair === undefined ? {} : { cert: pair.cert, key: pair.key }
    return { ...own, minVersion, ...(ca === undefined ? {} : { ca }) }
  }
}

function slot(name: string, read: () => Promise<Content>): Slot {
  return { name, read, content: undefined, isRefused: false }
}

async function readPair({ certFile, keyFile }: CertificateFiles): Promise<Content> {
  const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
  return { text: `${cert}\0${key}`, pair: readCertificatePair(cert, key) }
}

async function readClientCa(file: string): Promise<Content> {
  const text = await readFile(file, 'utf8')
  readAuthorities(text)
  return { text, pair: undefined }
}

/** Not the message of just anything: it may quote a key. */
function reasonOf(error: unknown): string {
  if (error instanceof CertificateFlaw) return `the ${partNames[error.part]} ${error.message}`
  return `a file cannot be read (${errorCodeOf(error)})`
}

const partNames = { cert: 'certificate', key: 'key', client_ca: 'list of authorities' } as const

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, durationMs).unref()
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
