import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { deflateRaw, inflateRawSync } from 'node:zlib'
import { readCookie } from '../http/cookies.ts'
import type { RawHeaders } from '../http/headers.ts'
import type { EpochMs } from '../lib/clock.ts'
import type { SealedBox } from '../lib/sealed-box.ts'

/** Where the browser asks for what it keeps. */
export const KEPT_FORM_PATH = '/.sessiongate/kept-post'

/** Of a form's body. What compresses well may be much longer than the cookies that it fits into. */
export const MAX_FORM_BYTES = 64 * 1024

/** A form that was not served, as its browser keeps it for us. */
export interface KeptForm {
  /** Scheme, host and port that it was sent to. */
  readonly origin: string
  /** Path and query that it was sent to. */
  readonly target: string
  /** One character a byte. */
  readonly body: string
  readonly keptAt: EpochMs
  readonly until: EpochMs
}

export interface FoundForm extends KeptForm {
  /** Tells it from every other. */
  readonly id: string
}

/** A browser keeps cookies of 4,096 bytes, attributes included. */
const PIECE_LENGTH = 3 * 1024
const MAX_PIECES = 4
const ID_BYTES = 16

const deflate = promisify(deflateRaw)

/**
 * A form in the cookies of the browser that sent it: nothing of it is kept here, so strangers can fill no store with forms, and it
 * survives a restart and reaches another machine that has the same secret.
 *
 * - The form itself, compressed and sealed, in up to four cookies that the browser sends to one address of ours and to no
 *   other, least of all to an app.
 * - Its id in a cookie of its own, with which it is sealed. Over https it has the prefix `__Host-`, so that no sibling host
 *   can plant the form of somebody else in this browser (RFC 6265bis, section 4.1.3.2).
 */
export class KeptFormCookies {
  readonly #box: SealedBox

  constructor(box: SealedBox) {
    this.#box = box
  }

  /** The Set-Cookie lines; undefined if it takes more than `maxBytes`. */
  async write(form: KeptForm, { maxBytes }: { readonly maxBytes: number }): Promise<RawHeaders | undefined> {
    const { origin, target, body, keptAt, until } = form
    const isSecure = isHttps(origin)
    const id = randomBytes(ID_BYTES).toString('base64url')
    const packed = await deflate(JSON.stringify([origin, target, body, keptAt, until]))
    const text = this.#box.seal(packed, id)
    const pieces = text.match(new RegExp(`.{1,${PIECE_LENGTH}}`, 'g')) ?? []
    if (text.length > maxBytes || pieces.length > MAX_PIECES) return undefined
    const life = `Max-Age=${Math.ceil((until - keptAt) / 1000)}`
    return [
      'Set-Cookie',
      line(idName(isSecure), id, { life, path: '/', isSecure }),
      ...pieces.flatMap((piece, at) => [
        'Set-Cookie',
        // More of them may be there from a longer form before.
        line(pieceName(at), at === 0 ? `${pieces.length}.${piece}` : piece, { life, path: KEPT_FORM_PATH, isSecure }),
      ]),
    ]
  }

  /** What a request brings, if it was sealed here for this browser and this origin, and its time is not over. */
  read(raw: RawHeaders, { origin, now }: { readonly origin: string; readonly now: EpochMs }): FoundForm | undefined {
    const id = single(raw, idName(isHttps(origin)))
    const sealed = id === undefined ? undefined : joined(raw)
    if (id === undefined || sealed === undefined) return undefined
    const packed = this.#box.open(sealed, id)
    const form = packed && unpack(packed)
    return form?.origin === origin && now < form.until ? { ...form, id } : undefined
  }

  /** The lines that take away what the request brought. */
  erase(raw: RawHeaders, { origin }: { readonly origin: string }): RawHeaders {
    const isSecure = isHttps(origin)
    const names = [idName(isSecure), ...Array.from({ length: MAX_PIECES }, (_, at) => pieceName(at))]
    return names
      .filter((name) => readCookie(raw, name).count > 0)
      .flatMap((name) => {
        const path = name === idName(isSecure) ? '/' : KEPT_FORM_PATH
        return ['Set-Cookie', line(name, '', { life: 'Max-Age=0', path, isSecure })]
      })
  }
}

function idName(isSecure: boolean): string {
  return isSecure ? '__Host-sessiongate_post' : 'sessiongate_post'
}

function pieceName(at: number): string {
  return `sessiongate_post_${at + 1}`
}

function isHttps(origin: string): boolean {
  return origin.startsWith('https:')
}

interface Attributes {
  readonly life: string
  readonly path: string
  readonly isSecure: boolean
}

/** `Lax`: a login page on another site leads back by a link or a redirect. */
function line(name: string, value: string, { life, path, isSecure }: Attributes): string {
  return `${name}=${value}; HttpOnly; ${life}; Path=${path}; SameSite=Lax${isSecure ? '; Secure' : ''}`
}

/** Of two, one was planted, and nobody knows which. */
function single(raw: RawHeaders, name: string): string | undefined {
  const { value, count } = readCookie(raw, name)
  return count === 1 ? value : undefined
}

function joined(raw: RawHeaders): string | undefined {
  const [, count = '', first = ''] = /^([1-4])\.(.*)$/.exec(single(raw, pieceName(0)) ?? '') ?? []
  const others = Array.from({ length: Math.max(0, Number(count) - 1) }, (_, at) => single(raw, pieceName(at + 1)))
  const pieces = [first, ...others]
  return count !== '' && pieces.every((piece) => piece !== undefined) ? pieces.join('') : undefined
}

/** It was sealed by us, and still: an older version may have packed it otherwise. */
function unpack(packed: Buffer): KeptForm | undefined {
  try {
    // Escapes in JSON can make a body of ASCII twice as long, at most.
    const text = inflateRawSync(packed, { maxOutputLength: 3 * MAX_FORM_BYTES }).toString()
    const [origin, target, body, keptAt, until]: unknown[] = JSON.parse(text)
    const texts = [origin, target, body].every((part) => typeof part === 'string')
    const times = [keptAt, until].every((part) => typeof part === 'number')
    return texts && times ? ({ origin, target, body, keptAt, until } as KeptForm) : undefined
  } catch {
    return undefined
  }
}
