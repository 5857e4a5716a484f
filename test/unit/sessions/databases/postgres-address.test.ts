import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readPostgresAddress } from '../../../../src/sessions/databases/postgres-address.ts'

const folder = mkdtempSync(join(tmpdir(), 'sessiongate-pem-'))
after(() => rmSync(folder, { recursive: true }))
const pem = join(folder, 'ca.pem')
writeFileSync(pem, 'PEM')

const places: [why: string, url: string, place: string][] = [
  ['host, port and database', 'postgres://user:5ecret@db.example.com:5433/shop', 'db.example.com:5433/shop'],
  ['the other scheme', 'postgresql://db.example.com/shop', 'db.example.com/shop'],
  ['an IPv6 address', 'postgres://[::1]:5432/shop', '[::1]:5432/shop'],
  ['a socket, by parameter', 'postgres://user@/shop?host=/var/run/postgresql', '/var/run/postgresql/shop'],
  ['a socket, without a user', 'postgres:///shop?host=/run/pg&port=5433', '/run/pg:5433/shop'],
  ['a socket, as a host', 'postgres://%2Fvar%2Frun%2Fpostgresql/shop', '/var/run/postgresql/shop'],
  ['a password that needs escapes', 'postgres://user:p%40%2F%3A5ecret@db/shop', 'db/shop'],
]
for (const [why, url, place] of places) {
  test(`a place for messages, without user and password: ${why}`, () => {
    const address = readPostgresAddress(url)
    assert.equal(address.place, place)
    assert.equal(address.tls, undefined)
  })
}

const modes: [why: string, query: string, tls: object | false | undefined][] = [
  ['nothing', '', undefined],
  ['none', '?sslmode=disable', false],
  ['none, whatever certificates there are', `?sslmode=disable&sslrootcert=${pem}`, false],
  ['with whoever answers', '?sslmode=require', { rejectUnauthorized: false }],
  ['verified', '?sslmode=verify-full', {}],
  ['verified by the system', '?sslmode=verify-full&sslrootcert=system', {}],
  ['verified by one authority', `?sslmode=verify-full&sslrootcert=${pem}`, { ca: 'PEM' }],
  ['with a certificate of our own', `?sslmode=verify-full&sslcert=${pem}&sslkey=${pem}`, { cert: 'PEM', key: 'PEM' }],
]
for (const [why, query, tls] of modes) {
  test(`TLS as libpq has it, and nothing of it left to the driver: ${why}`, () => {
    const address = readPostgresAddress(`postgres://user@db/shop${query}`)
    assert.deepEqual(address.tls, tls)
    assert.doesNotMatch(address.connectionString, /ssl/)
  })
}

test('an authority without a host name: any server of it', () => {
  for (const mode of ['require', 'verify-ca']) {
    const { tls } = readPostgresAddress(`postgres://user@db/shop?sslmode=${mode}&sslrootcert=${pem}`)
    assert.ok(tls && tls.ca === 'PEM' && tls.rejectUnauthorized === undefined)
    assert.equal(tls.checkServerIdentity?.('other', {} as never), undefined)
  }
})

test('other parameters reach the driver as they are', () => {
  const url = 'postgres://u:p%40@db/shop?sslmode=disable&application_name=x&options=-c%20search_path%3Dweb'
  const { connectionString } = readPostgresAddress(url)
  assert.deepEqual(Object.fromEntries(new URL(connectionString).searchParams), {
    application_name: 'x',
    options: '-c search_path=web',
  })
  assert.match(connectionString, /^postgres:\/\/u:p%40@db\/shop\?/)
})

const flaws: [why: string, url: string, message: RegExp][] = [
  ['no URL', 'user:5ecret@db', /cannot be read$/],
  ['another scheme', 'mysql://user:5ecret@db/shop', /cannot be read$/],
  ['two hosts', 'postgres://user:5ecret@a:1,b:2/shop', /cannot be read$/],
  ['a mode that may give up TLS', 'postgres://user:5ecret@db/shop?sslmode=prefer', /not supported: prefer$/],
  ['a check against nothing', 'postgres://user:5ecret@db/shop?sslmode=verify-ca', /without sslrootcert$/],
  ['certificates for no TLS', `postgres://user:5ecret@db/shop?sslrootcert=${pem}`, /without sslmode$/],
  ['a file that is not there', 'postgres://user:5ecret@db/shop?sslmode=require&sslrootcert=/nowhere', /\/nowhere$/],
]
for (const [why, url, message] of flaws) {
  test(`a URL that is no good is told without its password: ${why}`, () => {
    assert.throws(
      () => readPostgresAddress(url),
      (error) => {
        assert.ok(error instanceof Error && 'code' in error)
        assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
        assert.match(error.message, message)
        assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /5ecret/)
        return true
      },
    )
  })
}
