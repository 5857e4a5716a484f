import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { EpochMs } from './clock.ts'
import { errorCodeOf } from './error-code.ts'

/** Which of the files it is that cannot be used. */
export type CertificatePart = 'cert' | 'key' | 'client_ca'

/** Why a certificate cannot be used, in words that follow the name of the file. Never anything of a key. */
export class CertificateFlaw extends Error {
  override readonly name = 'CertificateFlaw'
  readonly part: CertificatePart
  /** The way out. */
  readonly hint: string

  constructor(part: CertificatePart, message: string, hint: string) {
    super(message)
    this.part = part
    this.hint = hint
  }
}

/** A chain and its key, as PEM; they belong together. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
  /** The first of the chain: the server's own. */
  readonly leaf: X509Certificate
}

const BLOCK = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g
const ENCRYPTED = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m

/**
 * A chain and a key that a server can show. Looked at here, and not left to the handshake, is what OpenSSL passes over:
 * a chain that was cut off while it was written, and a certificate that is not the first.
 *
 * @throws {CertificateFlaw}
 */
export function readCertificatePair(cert: string, key: string): CertificatePair {
  const chain = readChain(cert, 'cert')
  const privateKey = readPrivateKey(key)
  const [leaf] = chain
  if (!leaf.checkPrivateKey(privateKey)) throw mismatch(chain, privateKey)
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    const hint = 'make a new pair: ECDSA with P-256, or RSA with 2048 bits or more'
    throw new CertificateFlaw('cert', `is refused by OpenSSL (${errorCodeOf(error)})`, hint)
  }
  return { cert, key, leaf }
}

/** The authorities in a PEM text. @throws {CertificateFlaw} if one of them cannot be read, or there is none. */
export function readAuthorities(text: string): readonly X509Certificate[] {
  const authorities = readChain(text, 'client_ca')
  try {
    createSecureContext({ ca: text })
  } catch (error) {
    throw new CertificateFlaw('client_ca', `is refused by OpenSSL (${errorCodeOf(error)})`, 'write it anew, as PEM')
  }
  return authorities
}

/** Why the clients of that time would not take it; undefined if they would. */
export function explainValidity({ leaf }: Pick<CertificatePair, 'leaf'>, now: EpochMs): string | undefined {
  if (now >= leaf.validToDate.getTime()) return `has expired: it ended on ${leaf.validToDate.toISOString()}`
  if (now < leaf.validFromDate.getTime()) return `is not valid before ${leaf.validFromDate.toISOString()}`
  return undefined
}

function readChain(text: string, part: CertificatePart): [X509Certificate, ...X509Certificate[]] {
  const hint = 'write a PEM file, the own certificate first and then those between it and the authority'
  const blocks = text.match(BLOCK) ?? []
  if (blocks.length < (text.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/g) ?? []).length) {
    throw new CertificateFlaw(part, 'ends in the middle of a certificate', 'write it anew, whole')
  }
  const [first, ...others] = blocks.map((block, at) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw new CertificateFlaw(part, `holds no certificate in block ${at + 1} (${errorCodeOf(error)})`, hint)
    }
  })
  if (first === undefined) {
    throw new CertificateFlaw(part, text.trim() === '' ? 'is empty' : 'holds no certificate', hint)
  }
  return [first, ...others]
}

function readPrivateKey(text: string): KeyObject {
  if (ENCRYPTED.test(text)) {
    const hint = 'take the passphrase off: openssl pkey -in FILE -out NEW, readable for the gateway alone'
    throw new CertificateFlaw('key', 'is encrypted, and there is nobody to ask for its passphrase', hint)
  }
  try {
    return createPrivateKey(text)
  } catch {
    // OpenSSL's words may quote what it choked on.
    const message = text.trim() === '' ? 'is empty' : 'holds no private key'
    throw new CertificateFlaw('key', message, 'write a PEM file that begins with -----BEGIN PRIVATE KEY-----')
  }
}

function mismatch(chain: readonly X509Certificate[], key: KeyObject): CertificateFlaw {
  const at = chain.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (at === -1) {
    return new CertificateFlaw('key', 'is not the key of the certificate', 'put the two that were made together')
  }
  const message = `has its own certificate in place ${at + 1}, and only the first is shown as such`
  return new CertificateFlaw('cert', message, 'put the own certificate first, then those that vouch for it')
}
