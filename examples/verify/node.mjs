// What an app behind sessiongate does with the session that it is sent. Node 20 or newer, no packages.
// The rules are in docs/header-contract.md.
import { createHash, createHmac, timingSafeEqual, verify } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const SKEW_SECONDS = 30

/**
 * The claims of a request, or an error for everything that the gateway did not sign for this app, now.
 * rawHeaders: `request.rawHeaders`, so that a header that came twice is seen twice.
 * keys: [{ kid, alg: 'HS256' | 'EdDSA' | 'ES256', key }], key as bytes for HS256, else a public KeyObject.
 * headers: the plain session headers that the assertion vouches for. Read them from here, nowhere else.
 */
export function verifySession(rawHeaders, { keys, issuer, audience, now = Date.now() / 1000 }) {
  const one = (name) => {
    const values = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1].toLowerCase() === name)
    return values.length === 1 ? values[0] : refuse(`${name} is there ${values.length} times`)
  }
  const [head, body, signature, ...more] = one('x-session-assertion').split('.')
  const key = keys.find(({ kid, alg }) => head === encode(`{"alg":"${alg}","kid":"${kid}","typ":"sessiongate+jwt"}`))
  if (!key || !signature || more.length > 0) refuse('unsigned, or signed by an unknown key or algorithm')
  if (!isSignature(key, `${head}.${body}`, signature)) refuse('the signature is wrong')
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
  if (claims.iss !== issuer || claims.aud !== audience) refuse('it is for somebody else')
  if (!(claims.iat <= now + SKEW_SECONDS && now < claims.exp + SKEW_SECONDS)) refuse('it is not valid now')
  const headers = Object.fromEntries((claims.hdn ?? []).map((name) => [name, one(name)]))
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
  const digest = createHash('sha256').update(lines.join('')).digest('base64url')
  if (lines.length > 0 && digest !== claims.hdr) refuse('a plain header was changed')
  return { claims, headers }
}

function isSignature({ alg, key }, input, signature) {
  if (alg === 'EdDSA') return verify(null, Buffer.from(input), key, Buffer.from(signature, 'base64url'))
  if (alg === 'ES256') {
    return verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
  }
  const wanted = Buffer.from(createHmac('sha256', key).update(input).digest('base64url'))
  const given = Buffer.from(signature)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function encode(ascii) {
  return Buffer.from(ascii).toString('base64url')
}

function refuse(why) {
  throw new Error(why)
}

// By hand: node node.mjs KID KEY ISSUER AUDIENCE [NOW] < heads, KEY as `sessiongate keys derive` prints it.
// Heads are lines `Name: value`, one head from the next by an empty line.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [kid, key, issuer, audience, now] = process.argv.slice(2)
  const keys = [{ kid, alg: 'HS256', key: Buffer.from(key, 'base64url') }]
  for (const head of (await text(process.stdin)).trim().split('\n\n')) {
    const rawHeaders = head.split('\n').flatMap((line) => line.split(/: ?(.*)/s, 2))
    try {
      const { claims } = verifySession(rawHeaders, { keys, issuer, audience, ...(now && { now: Number(now) }) })
      console.log(`ok ${JSON.stringify(claims)}`)
    } catch (error) {
      console.log(`refused: ${error.message}`)
    }
  }
}
