import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createSealedBox } from '../../../src/lib/sealed-box.ts'
import { type KeptForm, KeptFormCookies } from '../../../src/server/kept-form-cookies.ts'

const now = Date.UTC(2026, 10, 23)
const cookies = new KeptFormCookies(createSealedBox(['secret'], 'test'))
const wide = { maxBytes: 12 * 1024 }

const form: KeptForm = {
  origin: 'https://app.test',
  target: '/save?id=7',
  body: 'a=1&b=x%0D%0Ay',
  keptAt: now,
  until: now + 900_000,
}

/** What the browser sends back for these lines. */
async function broughtBack(kept: KeptForm, limits = wide): Promise<string[]> {
  const lines = (await cookies.write(kept, limits)) ?? assert.fail('not kept')
  return lines.filter((_, at) => at % 2 === 1).map((line) => line.split(';')[0] ?? '')
}

const read = (pairs: readonly string[], about: Partial<{ origin: string; now: number }> = {}) =>
  cookies.read(['Cookie', pairs.join('; ')], { origin: form.origin, now, ...about })

test('a form comes back as it was, with an id of its own', async () => {
  const [one, other] = [read(await broughtBack(form)), read(await broughtBack(form))]
  assert.deepEqual({ ...one, id: '' }, { ...form, id: '' })
  assert.match(one?.id ?? '', /^[\w-]{22}$/)
  assert.notEqual(one?.id, other?.id)
})

test('its cookies are out of reach for scripts, other sites and, but for the id, for apps', async () => {
  const lines = (await cookies.write(form, wide)) ?? []
  const [id = '', piece = ''] = lines.filter((_, at) => at % 2 === 1)
  assert.match(id, /^__Host-sessiongate_post=[\w-]{22}; HttpOnly; Max-Age=900; Path=\/; SameSite=Lax; Secure$/)
  assert.match(
    piece,
    /^sessiongate_post_1=1\.[\w-]+; HttpOnly; Max-Age=900; Path=\/\.sessiongate\/kept-post; SameSite=Lax; Secure$/,
  )
  const plain = (await cookies.write({ ...form, origin: 'http://app.test' }, wide)) ?? []
  assert.match(plain[1] ?? '', /^sessiongate_post=[\w-]{22}; HttpOnly; Max-Age=900; Path=\/; SameSite=Lax$/)
})

test('a long form is cut into pieces that a browser takes, up to the limit', async () => {
  for (const [bytes, pieces] of [
    [100, 1],
    [4_000, 2],
    [6_000, 3],
    [8_000, 4],
  ] as const) {
    const body = `a=${randomBytes(bytes).toString('hex')}`
    const lines = (await cookies.write({ ...form, body }, wide)) ?? []
    assert.equal(lines.length / 2 - 1, pieces, `${bytes}`)
    for (const line of lines) assert.ok(line.length < 4096 - 200)
    assert.equal(read(await broughtBack({ ...form, body }))?.body, body)
  }
  const long = { ...form, body: `a=${randomBytes(9_500).toString('hex')}` }
  assert.equal(await cookies.write(long, wide), undefined)
  assert.equal(await cookies.write(long, { maxBytes: 1e6 }), undefined, 'four pieces are all that there is')
  assert.equal(await cookies.write({ ...form, body: randomBytes(500).toString('hex') }, { maxBytes: 600 }), undefined)
  const even = { ...form, body: `a=${'x'.repeat(60_000)}` }
  assert.equal(read(await broughtBack(even))?.body, even.body, 'what compresses well may be long')
})

test('it is for one origin and one time', async () => {
  const pairs = await broughtBack(form)
  assert.equal(read(pairs, { origin: 'https://app.test:8443' }), undefined)
  assert.equal(read(pairs, { now: form.until - 1 })?.target, form.target)
  assert.equal(read(pairs, { now: form.until }), undefined)
  const plain = await broughtBack({ ...form, origin: 'http://app.test' })
  assert.equal(read(plain), undefined, 'sent by http, and asked for by https')
})

test('pieces that were changed, swapped, left out or planted beside make no form', async () => {
  const long = { ...form, body: `a=${randomBytes(6_000).toString('hex')}` }
  const [id = '', one = '', two = '', three = ''] = await broughtBack(long)
  const [otherId = '', otherOne = ''] = await broughtBack(form)
  assert.ok(read([id, one, two, three])?.body === long.body)
  assert.ok(read([three, two, one, id])?.body === long.body)
  const spoilt: [what: string, pairs: string[]][] = [
    ['the id of another form', [otherId, one, two, three]],
    ['no id', [one, two, three]],
    ['two ids', [id, otherId, one, two, three]],
    ['a piece left out', [id, one, three]],
    ['a piece of another form', [id, otherOne, two, three]],
    ['a piece twice', [id, one, one, two, three]],
    ['pieces swapped', [id, one, two.replace('_2', '_3'), three.replace('_3', '_2')]],
    ['another count', [id, one.replace('=3.', '=2.'), two, three]],
    ['a count without end', [id, one.replace('=3.', '=99999999.'), two, three]],
    ['no count', [id, one.replace('=3.', '='), two, three]],
    ['one character', [id, one, two.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), three]],
    ['the name for http', [id.replace('__Host-', ''), one, two, three]],
    ['nothing', []],
  ]
  for (const [what, pairs] of spoilt) assert.ok(read(pairs) === undefined, what)
})

test('what another secret has sealed, and what was sealed otherwise, is no form', async () => {
  const pairs = await broughtBack(form)
  const stranger = new KeptFormCookies(createSealedBox(['another'], 'test'))
  assert.equal(stranger.read(['Cookie', pairs.join('; ')], { origin: form.origin, now }), undefined)
  const box = createSealedBox(['secret'], 'test')
  for (const bytes of ['', 'no deflate', '{}']) {
    const raw = ['Cookie', `__Host-sessiongate_post=id; sessiongate_post_1=1.${box.seal(Buffer.from(bytes), 'id')}`]
    assert.equal(cookies.read(raw, { origin: form.origin, now }), undefined)
  }
})

test('what came is taken away, and nothing else is named', async () => {
  const pairs = await broughtBack(form)
  const lines = cookies.erase(['Cookie', ['sessionid=x', ...pairs].join('; ')], form)
  assert.deepEqual(
    lines.filter((_, at) => at % 2 === 1).map((line) => line.replace(/; HttpOnly.*Path=/, ' ')),
    [
      '__Host-sessiongate_post= /; SameSite=Lax; Secure',
      'sessiongate_post_1= /.sessiongate/kept-post; SameSite=Lax; Secure',
    ],
  )
  for (const line of lines.filter((_, at) => at % 2 === 1)) assert.match(line, /; Max-Age=0;/)
  assert.deepEqual(cookies.erase(['Cookie', 'sessionid=x'], form), [])
})
