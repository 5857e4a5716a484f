// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what such a file holds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commandConfig, openCommandFolder } from '../e2e/command-folder.ts'

const secret = (word: string): string => `CANARY${word}`.padEnd(64, 'x')

const config = `${commandConfig
  .replace('admin: off', `admin: { listen: "127.0.0.1:0", token: ${secret('token')} }`)
  .replace(
    'auth: public',
    `auth: public, headers: { request: { Authorization: "Bearer ${secret('written')}", X-Key: "\${API_KEY}" } }`,
  )
  .replace(
    'cookie_secure: true',
    `cookie_secure: true, secret_key_fallbacks: ["${secret('fallback')}"], user_id: userInfo.id`,
  )}
keys: [{ id: k1, secret: "\${file:config/signing.key}" }, { id: k0, secret: "\${SIGNING}" }]
`

/** Mistakes of which each is told, on lines with secrets on them. */
const mistakes: readonly [find: string, put: string][] = [
  ['admin: {', 'admin: { lisen: 1,'],
  ['keys: [{ id: k1,', 'keys: [{ id: k1, unknown: 1,'],
  ['session: {', 'session: { engine: memory,'],
  ['version: 1', `version: 1\ndatabase: { url: "postgres://u:${secret('database')}@/%zz", nonsense: 1 }`],
  [
    'version: 1',
    `version: 1\ncaches: { default: { backend: redis, url: "redis://:${secret('cache')}@h:x/", password: ${secret('password')} } }`,
  ],
  ['version: 1', `version: 1\napi_secret: ${secret('nonsense')}\nlogin: { url: "https://u:${secret('login')}@h/" }`],
  ['"${SIGNING}"', '"${NOBODY_HAS_SET_THIS}"'],
  ['config/signing.key', 'config/no-such.key'],
  ['routes:', `routes: [{ id: a, headers: { request: { X-A: "${secret('header')}\\u0001" } } }\nx:`],
]

test('no command tells a secret, of the file or of what it names, of a session or of its key', async () => {
  await using folder = await openCommandFolder(config)
  const env = { API_KEY: secret('env'), SIGNING: secret('signing') }
  await folder.write('config/signing.key', `${secret('file')}\n`)
  const { id, key } = await folder.store(`{"userInfo":{"id":7,"name":"CANARYvalue","is_staff":true},"CANARYname":1}`)
  const told: string[] = []
  async function run(line: string): Promise<number | null> {
    const { code, stdout, stderr } = await folder.run(line, env)
    const text = `${stdout}${stderr}`
    // The names of a session’s keys are told on purpose, and by `sessions show` the values.
    const found = [...text.replaceAll('CANARYname', '').matchAll(/CANARY\w*/g)].map(([word]) => word)
    assert.deepEqual(found, [], `${line}: ${text}`)
    assert.equal(text.includes(key), false, `a session key by ${line}`)
    assert.equal(text.includes('k'.repeat(64)), false, `the key of sessions by ${line}`)
    assert.doesNotMatch(text, /^\s+at .*\.ts:\d+/m, `a stack by ${line}`)
    told.push(text)
    return code
  }
  assert.equal(await run('sessiongate check'), 0)
  assert.equal(await run('sessiongate check --json'), 0)
  for (const path of ['/', '/login', '/%zz'])
    assert.equal(await run(`sessiongate explain GET '${path}' --session ${id} --json`), 0)
  assert.equal(await run('sessiongate explain GET /admin/x'), 0)
  assert.equal(await run('sessiongate explain GET / --session aaaaaaaaaaaaaaaaaaaaaa'), 1)
  assert.equal(await run('sessiongate sessions list'), 0)
  assert.equal(await run('sessiongate healthcheck'), 1)
  for (const [at, [find, put]] of mistakes.entries()) {
    assert.ok(config.includes(find), find)
    const file = `config/broken-${at}.yaml`
    await folder.write(file, config.replace(find, put))
    const codes = await Promise.all([
      run(`sessiongate check --config ${file}`),
      at < 2 ? run(`sessiongate serve --config ${file}`) : 78,
    ])
    assert.deepEqual(codes, [78, 78], `mistake ${at}: ${told.at(-1)}`)
  }
  assert.ok(told.every((text) => text.length > 0))
})
