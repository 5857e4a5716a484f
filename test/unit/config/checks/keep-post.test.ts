import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadText, MINIMAL, problemsOf } from '../../../config/sample.ts'

const withKeeping = (more: string, text = MINIMAL): string =>
  text.replace('path: /* }, upstream: app, auth: required }', `path: /* }, upstream: app, ${more} }`)

test('a route keeps forms only where it says so, within bounds', async () => {
  const routeOf = async (more: string) => (await loadText(withKeeping(more))).config.routes.at(-1)
  assert.equal((await routeOf('auth: required'))?.keepPost, undefined)
  assert.deepEqual((await routeOf('auth: required, keep_post: {}'))?.keepPost, { maxBytes: 3072, lifetimeMs: 900_000 })
  const own = await routeOf('auth: required, keep_post: { max: 12KiB, for: 1h }')
  assert.deepEqual(own?.keepPost, { maxBytes: 12_288, lifetimeMs: 3_600_000 })
})

const errors: [what: string, text: string, message: RegExp][] = [
  ['more than cookies hold', withKeeping('keep_post: { max: 13KiB }'), /at most 12288 bytes/],
  ['longer than a login takes', withKeeping('keep_post: { for: 2h }'), /at most 1h/],
  ['a switch', withKeeping('keep_post: true'), /must be a mapping/],
  ['nobody is sent to the login', withKeeping('auth: public, keep_post: {}'), /auth: public sends nobody there/],
  ['statuses', withKeeping('auth: required, on_deny: status, keep_post: {}'), /on_deny: status sends nobody there/],
  ['no session', withKeeping('session: none, keep_post: {}'), /session: none knows nobody/],
  [
    'a session that is not seen there',
    withKeeping('auth: required, keep_post: {}', MINIMAL.replace('cookie_secure', 'cookie_path: /app, cookie_secure')),
    /outside of session\.cookie_path/,
  ],
]
for (const [what, text, message] of errors) {
  test(`forms that cannot be kept are an error of the file: ${what}`, async () => {
    const found = (await problemsOf(text)).filter(({ severity }) => severity === 'error')
    assert.equal(found.length, 1, JSON.stringify(found))
    assert.match(found[0]?.message ?? '', message)
    assert.match(found[0]?.path ?? '', /^routes\[1\]\.keep_post/)
  })
}
