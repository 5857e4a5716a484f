import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { checkout, commandConfig as config, openCommandFolder } from './command-folder.ts'

/** A number that JavaScript cannot hold, one that it would write otherwise, and one with an exponent. */
const numbers = '{"userInfo":{"id":1152921504606846977,"name":"Zo\\u00eb"},"f":1.0,"e":1e-07}'

const vectors = JSON.parse(await readFile(join(checkout, 'test/vectors/django-sessions.json'), 'utf8'))

describe('sessions', () => {
  test('are listed by public id, without keys unless they are asked for', async () => {
    await using folder = await openCommandFolder(config)
    const { id, key } = await folder.store('{"userInfo":{"name":"Ada"},"cart":{}}')
    await folder.store('{"old":1}', Date.now() - 15 * 86_400_000)
    const { code, stdout } = await folder.run('sessiongate sessions list')
    assert.equal(code, 0)
    assert.match(stdout, new RegExp(`^PUBLIC ID +EXPIRES +KEYS IN IT\\n${id} {2}\\S+Z {2}userInfo cart\\n$`))
    const shown = await folder.run('sessiongate sessions list --show-keys')
    assert.ok(shown.stdout.includes(key))
    const asJson = await folder.run('sessiongate sessions list --json')
    const { expires, ...entry } = JSON.parse(asJson.stdout)
    assert.deepEqual(entry, { id, names: ['userInfo', 'cart'] })
    assert.ok(Date.parse(expires) > Date.now())
  })

  test('beyond the limit are mentioned', async () => {
    await using folder = await openCommandFolder(config)
    for (const n of [1, 2, 3]) await folder.store(`{"n":${n}}`)
    const { code, stdout, stderr } = await folder.run('sessiongate sessions list --limit 2 --json')
    assert.equal(code, 0)
    assert.equal(stdout.trim().split('\n').length, 2)
    assert.equal(stderr, 'there are more; --limit shows them\n')
  })

  test('are shown with their numbers as they are stored', async () => {
    await using folder = await openCommandFolder(config)
    const { id, key } = await folder.store(numbers)
    const { code, stdout } = await folder.run(`sessiongate sessions show ${id}`)
    assert.equal(code, 0)
    assert.ok(stdout.startsWith(`{"id":"${id}","expires":"`))
    assert.ok(stdout.endsWith(`"data":${numbers}}\n`), stdout)
    assert.ok(!stdout.includes(key))
    const shown = await folder.run(`sessiongate sessions show ${id} --show-keys`)
    assert.equal(JSON.parse(shown.stdout).key, key)
    const missing = await folder.run('sessiongate sessions show 0mHNQ3bYw5Yl5tqcKQ8y0g')
    assert.deepEqual([missing.code, missing.stdout], [1, ''])
  })

  test('are revoked, all that are there, and the others named with exit code 1', async () => {
    await using folder = await openCommandFolder(config)
    const { id } = await folder.store('{"n":1}')
    const other = await folder.store('{"n":2}')
    const { code, stdout, stderr } = await folder.run(`sessiongate sessions revoke 0mHNQ3bYw5Yl5tqcKQ8y0g ${id}`)
    assert.deepEqual([code, stdout], [1, `revoked ${id}\n`])
    assert.match(stderr, /no such session: 0mHNQ3bYw5Yl5tqcKQ8y0g/)
    const { stdout: left } = await folder.run('sessiongate sessions list --json')
    assert.equal(JSON.parse(left).id, other.id)
    assert.equal((await folder.run(`sessiongate sessions revoke ${other.id}`)).code, 0)
  })

  test('of one user are listed and revoked, with a word that all are looked into', async () => {
    await using folder = await openCommandFolder(config.replace('session: {', 'session: { user_id: userInfo.id, '))
    const ids: string[] = []
    for (const n of [1, 2]) ids.push((await folder.store(`{"userInfo":{"id":7.0},"n":${n}}`)).id)
    await folder.store('{"userInfo":{"id":"ada"}}')
    const nobody = await folder.store('{"n":3}')
    const listed = await folder.run('sessiongate sessions list --json --user 7')
    const listedIds = listed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).id)
    assert.deepEqual(listedIds.toSorted(), ids.toSorted())
    assert.equal(listed.stderr, 'there is no index of users: every session is looked into\n')
    const { code, stdout } = await folder.run('sessiongate sessions revoke --user 7')
    assert.equal(code, 0)
    const revoked = stdout.split('\n').filter((line) => line.startsWith('revoked '))
    assert.deepEqual(revoked.toSorted(), ids.map((id) => `revoked ${id}`).toSorted())
    assert.equal((await folder.run('sessiongate sessions revoke --user 7')).code, 1)
    assert.equal((await folder.run('sessiongate sessions revoke --user ada')).code, 0)
    assert.equal(JSON.parse((await folder.run('sessiongate sessions list --json')).stdout).id, nobody.id)
  })

  for (const [why, line] of [
    ['neither ids nor a user', 'revoke'],
    ['both', 'revoke 0mHNQ3bYw5Yl5tqcKQ8y0g --user 7'],
    ['a user where no path of the id is set', 'list --user 7'],
  ]) {
    test(`are not looked for by wrong usage: ${why}`, async () => {
      await using folder = await openCommandFolder(config)
      await folder.store('{"n":1}')
      const { code, stdout, stderr } = await folder.run(
        `sessiongate sessions ${line} 2>&1 >/dev/null | head -n 1 >&2; true`,
      )
      assert.deepEqual([code, stdout], [0, ''])
      assert.match(stderr, /^sessiongate: (name the public ids|whose a session is)/)
      assert.equal((await folder.run(`sessiongate sessions ${line}`)).code, 2)
    })
  }

  test('that have expired are cleared in batches, and only those', async () => {
    await using folder = await openCommandFolder(config)
    const { id } = await folder.store('{"n":1}')
    for (const n of [2, 3, 4]) await folder.store(`{"n":${n}}`, Date.now() - 15 * 86_400_000)
    const { code, stdout, stderr } = await folder.run('sessiongate sessions clear-expired --batch 2 --pause 1ms')
    assert.deepEqual([code, stdout, stderr], [0, '3 expired sessions cleared\n', ''])
    const none = await folder.run('sessiongate sessions clear-expired --json')
    assert.deepEqual([none.code, none.stdout], [0, '{"cleared":0}\n'])
    assert.equal((await folder.run('sessiongate sessions clear-expired --pause soon')).code, 2)
    assert.match((await folder.run('sessiongate sessions list')).stdout, new RegExp(id))
  })

  test('in a store that cannot be opened end with 1', async () => {
    await using folder = await openCommandFolder(config)
    await folder.write('var/sessiongate.sqlite3', 'this is no database, and long enough to be looked at'.repeat(40))
    const { code, stdout } = await folder.run('sessiongate sessions list --json')
    assert.deepEqual([code, stdout], [1, ''])
  })
})

describe('sessions decode reads what real Django wrote', () => {
  const django = config.replace(
    'session: {',
    `session: { secret_key: ${vectors.secret_key}, secret_key_fallbacks: [${vectors.secret_key_fallbacks[0]}], `,
  )
  const rowWith = (part: string): { json: string; session_data: string; timestamp: number } =>
    vectors.rows.find(({ json }: { json: string }) => json.includes(part))

  for (const part of ['"f":1.0', '-0.0', 'Zo\\u00eb']) {
    test(`with the text of its values kept: ${part}`, async () => {
      await using folder = await openCommandFolder(django)
      const row = rowWith(part)
      const { code, stdout } = await folder.run(`printf %s '${row.session_data}' | sessiongate sessions decode -`)
      assert.equal(code, 0)
      const signedAt = new Date(row.timestamp * 1000).toISOString()
      assert.equal(stdout, `{"data":${row.json},"signed_at":"${signedAt}","key":"current"}\n`)
    })
  }

  test('and tells that an older key has signed it', async () => {
    await using folder = await openCommandFolder(django)
    const { session_data: text, json } = vectors.signed_with_fallback
    const { code, stdout } = await folder.run(`sessiongate sessions decode '${text}'`)
    assert.equal(code, 0)
    assert.equal(stdout, `{"data":${json},"signed_at":"2023-11-14T22:13:20.000Z","key":"fallback-1"}\n`)
  })

  test('and not what Django rejects', async () => {
    await using folder = await openCommandFolder(django)
    const { code, stdout, stderr } = await folder.run(
      `sessiongate sessions decode '${vectors.rejected[0].session_data}'`,
    )
    assert.deepEqual([code, stdout], [1, ''])
    assert.equal(stderr, 'sessiongate: not readable with this secret_key: bad_signature\n')
  })
})

test('a reader that has seen enough is no failure', async () => {
  await using folder = await openCommandFolder(config)
  for (const n of [1, 2, 3]) await folder.store(`{"n":${n}}`)
  const { stdout, stderr } = await folder.run('sessiongate sessions list | head -n 1')
  assert.deepEqual([stdout, stderr], ['PUBLIC ID               EXPIRES                   KEYS IN IT\n', ''])
})
