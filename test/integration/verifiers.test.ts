import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { createAssertionIssuer } from '../../src/assertion/issuer.ts'
import { deriveUpstreamKey, readSigningKeys, type SigningAlgorithm } from '../../src/assertion/keys.ts'
import { compilePlainHeaders } from '../../src/assertion/plain-headers.ts'
import { parseSessionData } from '../../src/django/json.ts'
import { requireServer } from '../support/requirement.ts'

const examples = resolve(import.meta.dirname, '../../examples/verify')

const nowSeconds = 1_800_000_000
const secret = '0123456789abcdef0123456789abcdef'
const key = deriveUpstreamKey(secret, 'legacy')
const plainHeaders = compilePlainHeaders(
  new Map([
    ['X-User-Name', 'userInfo.name'],
    ['X-Cart', 'cart'],
  ]),
)

interface Issued {
  readonly json?: string
  readonly audience?: string
  readonly issuer?: string
  readonly iatSeconds?: number
  readonly algorithm?: SigningAlgorithm
  readonly privateKey?: string
  /** Default: none. */
  readonly plainHeaders?: typeof plainHeaders
  readonly publicId?: string
  readonly kid?: string
}

/** The header lines that the gateway adds to a request. */
function issue(options: Issued = {}): string[] {
  const { audience = 'legacy', algorithm = 'HS256', kid = '2026-11', privateKey } = options
  const spec = privateKey === undefined ? { id: kid, secret } : { id: kid, privateKey }
  const issuer = createAssertionIssuer({
    keys: readSigningKeys([spec], { algorithm, audience }),
    issuer: options.issuer ?? 'sessiongate',
    audience,
    ttlSeconds: 60,
    bind: 'session',
    maxBytes: 4000,
    include: null,
    plainHeaders: options.plainHeaders ?? compilePlainHeaders(new Map()),
  })
  const data = parseSessionData(options.json ?? '{"userInfo":{"name":"Zoë"},"big":1152921504606846977}') ?? new Map()
  const request = { method: 'GET', url: 'https://app.example.com/' }
  const now = (options.iatSeconds ?? nowSeconds) * 1000
  const { publicId = 'p' } = options
  return [...issuer.issue({ key: 'k', publicId, data, loggedIn: true, request, now }).lines]
}

const base64url = (text: string) => Buffer.from(text).toString('base64url')

const goodHead = '{"alg":"HS256","kid":"2026-11","typ":"sessiongate+jwt"}'

/** A token with this header, signed with the right HMAC key, whatever the header says. */
function forge(header: string, hash: 'sha256' | 'sha384' = 'sha256', hmacKey: Buffer | string = key): string[] {
  return sign(`${base64url(header)}.${base64url(claimsFor('"legacy"'))}`, hash, hmacKey)
}

function claimsFor(audience: string): string {
  return `{"iss":"sessiongate","aud":${audience},"iat":${nowSeconds},"exp":${nowSeconds + 60},"auth":true,"ses":{}}`
}

function sign(input: string, hash: 'sha256' | 'sha384' = 'sha256', hmacKey: Buffer | string = key): string[] {
  return ['X-Session-Assertion', `${input}.${createHmac(hash, hmacKey).update(input).digest('base64url')}`]
}

/** The lines of a good request with its assertion changed. */
function tampered(change: (head: string, claims: string, signature: string) => string): string[] {
  const [head = '', claims = '', signature = ''] = (issue()[1] ?? '').split('.')
  return ['X-Session-Assertion', change(head, claims, signature)]
}

type Case = readonly [why: string, lines: readonly string[]]

const accepted: readonly Case[] = [
  ['what this test signs itself, so that what it tampers with is refused for that', forge(goodHead)],
  ['a session', issue()],
  ['a session beside other headers', ['Host', 'app.example.com', ...issue(), 'Cookie', 'a=b']],
  ['the name in another case', ['x-session-assertion', issue()[1] ?? '']],
  ['plain headers', issue({ json: '{"userInfo":{"name":"100% Zoë L."},"cart":{"n":[1.0]}}', plainHeaders })],
  ['a plain header with nothing in it', issue({ json: '{"userInfo":{"name":""}}', plainHeaders })],
  ['no plain header, where some could be', issue({ json: '{}', plainHeaders })],
  ['an end within the clock difference', issue({ iatSeconds: nowSeconds - 89 })],
  ['a beginning within the clock difference', issue({ iatSeconds: nowSeconds + 30 })],
  [
    'data that looks like claims',
    issue({ json: '{"x":"\\",\\"aud\\":\\"other\\"","aud":"other","exp":1,"hdn":["x"],"hdr":"y"}' }),
  ],
]

/** A verifier that lets the token choose the algorithm, or the key, would take at least one of these. */
const algorithmConfusion: readonly Case[] = [
  [
    'none, without a signature',
    tampered((_head, claims) => `${base64url('{"alg":"none","typ":"sessiongate+jwt"}')}.${claims}.`),
  ],
  [
    'none, with kid',
    tampered((_h, claims) => `${base64url('{"alg":"none","kid":"2026-11","typ":"sessiongate+jwt"}')}.${claims}.`),
  ],
  ['none in another case', forge('{"alg":"nOnE","kid":"2026-11","typ":"sessiongate+jwt"}')],
  ['no alg at all', forge('{"kid":"2026-11","typ":"sessiongate+jwt"}')],
  ['HS384 with the HS256 key', forge('{"alg":"HS384","kid":"2026-11","typ":"sessiongate+jwt"}', 'sha384')],
  ['an HMAC called RS256', forge('{"alg":"RS256","kid":"2026-11","typ":"sessiongate+jwt"}')],
  ['an HMAC called EdDSA', forge('{"alg":"EdDSA","kid":"2026-11","typ":"sessiongate+jwt"}')],
  ['two algs', forge('{"alg":"none","alg":"HS256","kid":"2026-11","typ":"sessiongate+jwt"}')],
  [
    'a key in the header',
    forge(
      '{"alg":"HS256","kid":"2026-11","typ":"sessiongate+jwt","jwk":{"kty":"oct","k":"AAAA"}}',
      'sha256',
      Buffer.alloc(3),
    ),
  ],
  ['a key by reference', forge('{"alg":"HS256","kid":"2026-11","typ":"sessiongate+jwt","jku":"http://127.0.0.1/"}')],
  ['an unknown kid', forge('{"alg":"HS256","kid":"2026-10","typ":"sessiongate+jwt"}')],
  ['a kid that every object has', forge('{"alg":"HS256","kid":"__proto__","typ":"sessiongate+jwt"}', 'sha256', '')],
  ['no kid', forge('{"alg":"HS256","typ":"sessiongate+jwt"}')],
  ['another typ', forge('{"alg":"HS256","kid":"2026-11","typ":"JWT"}')],
]

const goodHeaders = issue({ json: '{"userInfo":{"name":"Ada"},"cart":2}', plainHeaders })

function withHeader(name: string, value: string | undefined): string[] {
  const lines: string[] = []
  for (let i = 0; i < goodHeaders.length; i += 2) {
    const other = goodHeaders[i] ?? ''
    if (other !== name) lines.push(other, goodHeaders[i + 1] ?? '')
    else if (value !== undefined) lines.push(name, value)
  }
  return lines
}

const refused: readonly Case[] = [
  ...algorithmConfusion,
  ['unsigned: no assertion', ['Host', 'app.example.com']],
  ['unsigned: only a plain header', ['X-User-Name', 'Ada']],
  ['an empty assertion', ['X-Session-Assertion', '']],
  ['no signature', tampered((head, claims) => `${head}.${claims}`)],
  ['an empty signature', tampered((head, claims) => `${head}.${claims}.`)],
  ['a short signature', tampered((head, claims, signature) => `${head}.${claims}.${signature.slice(0, -1)}`)],
  [
    'a changed signature',
    tampered(
      (head, claims, signature) => `${head}.${claims}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
    ),
  ],
  ['a fourth part', tampered((head, claims, signature) => `${head}.${claims}.${signature}.`)],
  [
    'changed claims',
    tampered((head, _claims, signature) => `${head}.${base64url('{"iss":"sessiongate","aud":"legacy"}')}.${signature}`),
  ],
  ['the key of another upstream', forge(goodHead, 'sha256', deriveUpstreamKey(secret, 'shop'))],
  ['the secret itself as key', forge(goodHead, 'sha256', secret)],
  ['another audience', issue({ audience: 'shop' })],
  ['another audience under this upstream’s key', sign(`${base64url(goodHead)}.${base64url(claimsFor('"shop"'))}`)],
  ['several audiences', sign(`${base64url(goodHead)}.${base64url(claimsFor('["legacy","shop"]'))}`)],
  ['another issuer', issue({ issuer: 'elsewhere' })],
  ['expired', issue({ iatSeconds: nowSeconds - 90 })],
  ['expired long ago', issue({ iatSeconds: nowSeconds - 86_400 })],
  ['from the future', issue({ iatSeconds: nowSeconds + 31 })],
  ['the assertion twice', [...issue(), ...issue()]],
  ['two assertions in one line', ['X-Session-Assertion', `${issue()[1]},${issue()[1]}`]],
  ['a changed plain header', withHeader('X-User-Name', 'Eve')],
  ['a plain header in other letters', withHeader('X-User-Name', 'ada')],
  ['a missing plain header', withHeader('X-User-Name', undefined)],
  ['a plain header twice', [...goodHeaders, 'x-user-name', 'Ada']],
  ['values that changed places', withHeader('X-User-Name', '2')],
]

interface Verifier {
  readonly name: string
  readonly skip: string | false
  /** Program and arguments; `folder` is empty and may be written to. */
  readonly command: (folder: string) => readonly [program: string, ...args: string[]]
}

const python = requireServer('python')
const php = requireServer('php')
const java = findJava()

const verifiers: readonly Verifier[] = [
  { name: 'node.mjs', skip: false, command: () => [process.execPath, join(examples, 'node.mjs')] },
  { name: 'verify.py', skip: python.skip, command: () => [python.path, join(examples, 'verify.py')] },
  { name: 'verify.php', skip: php.skip, command: () => [php.path, join(examples, 'verify.php')] },
  { name: 'Verify.java', skip: java, command: compileJava },
]

for (const { name, skip, command } of verifiers) {
  test(`${name} takes what the gateway signed for this app, and nothing else`, { skip }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-verify-'))
    try {
      const answers = run(command(folder), [...accepted, ...refused])
      for (const [index, [why, lines]] of accepted.entries()) {
        const [, claims] = /^ok (\{.*\})$/.exec(answers[index] ?? '') ?? []
        assert.ok(claims, `${why}: ${answers[index]}`)
        assert.deepEqual(withoutLargeNumbers(claims), withoutLargeNumbers(claimsIn(lines)), why)
      }
      for (const [index, [why]] of refused.entries()) {
        assert.match(answers[accepted.length + index] ?? '', /^refused: /, why)
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })
}

type VerifySession = (
  rawHeaders: readonly string[],
  options: {
    keys: { kid: string; alg: string; key: Buffer | KeyObject }[]
    issuer: string
    audience: string
    now: number
  },
) => { claims: Record<string, unknown>; headers: Record<string, string> }

const { verifySession }: { verifySession: VerifySession } = await import(join(examples, 'node.mjs'))
const whom = { issuer: 'sessiongate', audience: 'legacy', now: nowSeconds }

test('node.mjs verifies public key algorithms, each key with its own', () => {
  const pairs = { EdDSA: generateKeyPairSync('ed25519'), ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
  for (const algorithm of ['EdDSA', 'ES256'] as const) {
    const privateKey = pairs[algorithm].privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const publicKey = createPublicKey(privateKey)
    const keys = [{ kid: 'public', alg: algorithm, key: publicKey }]
    const lines = issue({ algorithm, privateKey, kid: 'public' })
    assert.equal(verifySession(lines, { ...whom, keys }).claims.auth, true)
    // The oldest confusion: the public key, which everybody has, taken for an HMAC secret.
    const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const hmac = forge('{"alg":"HS256","kid":"public","typ":"sessiongate+jwt"}', 'sha256', publicPem)
    assert.throws(() => verifySession(hmac, { ...whom, keys }), /unknown key or algorithm/)
    const named = forge(`{"alg":"${algorithm}","kid":"public","typ":"sessiongate+jwt"}`, 'sha256', publicPem)
    assert.throws(() => verifySession(named, { ...whom, keys }), /signature is wrong/)
  }
})

test('the example in the documentation is true', async () => {
  const page = await readFile(resolve(import.meta.dirname, '../../docs/header-contract.md'), 'utf8')
  const json = '{"userInfo":{"id":7,"name":"Zoë Q."},"_auth_user_id":"7"}'
  const paths = new Map([['X-User-Name', 'userInfo.name']])
  const lines = issue({ json, publicId: 'Zm9vYmFyYmF6cXV4MTIzNA', plainHeaders: compilePlainHeaders(paths) })
  assert.ok(page.includes(`\`${secret}\` gives the upstream \`legacy\` the key\n\`${key.toString('base64url')}\``))
  assert.ok(page.includes(`\n${lines[0]}: ${lines[1]}\n${lines[2]}: ${lines[3]}\n`))
  assert.ok(page.includes(`\n${claimsIn(lines)}\n`))
})

test('several keys verify, so that keys can be changed without a gap', () => {
  const other = { kid: '2026-12', alg: 'HS256', key: deriveUpstreamKey(`${secret}2`, 'legacy') }
  const keys = [other, { kid: '2026-11', alg: 'HS256', key }]
  assert.equal(verifySession(issue(), { ...whom, keys }).claims.auth, true)
  assert.throws(() => verifySession(issue(), { ...whom, keys: [other] }), /unknown key/)
})

test('a plain header that the assertion does not name is not handed on', () => {
  const keys = [{ kid: '2026-11', alg: 'HS256', key }]
  const { headers } = verifySession([...withHeader('X-Cart', '2'), 'X-Is-Admin', 'yes'], { ...whom, keys })
  assert.deepEqual(headers, { 'x-cart': '2', 'x-user-name': 'Ada' })
})

function run([program, ...args]: readonly [string, ...string[]], cases: readonly Case[]): string[] {
  const heads = cases.map(([, lines]) => {
    const pairs = lines.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${lines[index + 1]}`] : []))
    return pairs.join('\n')
  })
  const all = [...args, '2026-11', key.toString('base64url'), 'sessiongate', 'legacy', String(nowSeconds)]
  const output = execFileSync(program, all, { input: heads.join('\n\n'), encoding: 'utf8', timeout: 60_000 })
  return output.trimEnd().split('\n')
}

function claimsIn(lines: readonly string[]): string {
  const index = lines.findIndex((line) => line.toLowerCase() === 'x-session-assertion')
  return Buffer.from((lines[index + 1] ?? '').split('.')[1] ?? '', 'base64url').toString()
}

/** Languages differ in how they print empty objects and what JavaScript's numbers cannot hold; neither is the point here. */
function withoutLargeNumbers(claims: string): unknown {
  return JSON.parse(claims, (name, value: unknown) => {
    if (name === 'big') return undefined
    return Array.isArray(value) && value.length === 0 ? {} : value
  })
}

function findJava(): string | false {
  try {
    execFileSync('javac', ['-version'], { stdio: 'ignore', timeout: 60_000 })
    return false
  } catch {
    const line = 'a JDK is needed: javac is not installed'
    if (process.env.CI === 'true') throw new Error(line)
    return line
  }
}

function compileJava(folder: string): readonly [string, ...string[]] {
  execFileSync('javac', ['-Xlint:all', '-Werror', '-d', folder, join(examples, 'Verify.java')], { timeout: 120_000 })
  return ['java', '-cp', folder, 'Verify']
}
