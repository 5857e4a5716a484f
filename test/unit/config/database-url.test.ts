import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDatabaseUrl } from '../../../src/config/database-url.ts'

const sqlite: [why: string, url: string, expected: object][] = [
  ['a relative path', 'sqlite:./db.sqlite3', { kind: 'sqlite', path: '/srv/db.sqlite3', isOwn: false }],
  ['an absolute path', 'sqlite:/data/db.sqlite3', { kind: 'sqlite', path: '/data/db.sqlite3', isOwn: false }],
  [
    'the gateway’s own',
    'sqlite:var/sessiongate.sqlite3',
    { kind: 'sqlite', path: '/srv/var/sessiongate.sqlite3', isOwn: true },
  ],
]

for (const [why, url, expected] of sqlite) {
  test(`the database ${url} is read: ${why}`, () => {
    assert.deepEqual(parseDatabaseUrl(url, '/srv'), expected)
  })
}

const postgres: [why: string, url: string, host: string, place: string, protection: string][] = [
  ['the usual form', 'postgres://u:p@db:5433/shop', 'db', 'db:5433/shop', 'plain'],
  ['the other name', 'postgresql://db/shop', 'db', 'db:5432/shop', 'plain'],
  ['a name with an underscore, as Compose has them', 'postgres://u@my_db/shop', 'my_db', 'my_db:5432/shop', 'plain'],
  ['an address', 'postgres://u:p@[fd00::5]/shop', 'fd00::5', '[fd00::5]:5432/shop', 'plain'],
  [
    'a socket behind the question mark',
    'postgres:///shop?host=/var/run/postgresql',
    '/var/run/postgresql',
    '/var/run/postgresql:5432/shop',
    'verified',
  ],
  [
    'a socket in the place of the host',
    'postgres://u@%2Fvar%2Frun%2Fpostgresql/shop',
    '/var/run/postgresql',
    '/var/run/postgresql:5432/shop',
    'verified',
  ],
  [
    'a schema is another place',
    'postgres://db/shop?options=-csearch_path%3Da',
    'db',
    'db:5432/shop (-csearch_path=a)',
    'plain',
  ],
  ['no encryption', 'postgres://db/shop?sslmode=disable', 'db', 'db:5432/shop', 'plain'],
  [
    'a socket, and a user in front of it',
    'postgres://u:p@/shop?host=/var/run/postgresql',
    '/var/run/postgresql',
    '/var/run/postgresql:5432/shop',
    'verified',
  ],
  [
    'a socket with a port',
    'postgres://u@/shop?host=%2Fvar%2Frun&port=5433',
    '/var/run',
    '/var/run:5433/shop',
    'verified',
  ],
  [
    'encryption alone, which takes whoever answers',
    'postgres://db/shop?sslmode=require',
    'db',
    'db:5432/shop',
    'encrypted',
  ],
  [
    'encryption with an authority, as libpq reads it',
    'postgres://db/shop?sslmode=require&sslrootcert=/ca',
    'db',
    'db:5432/shop',
    'verified',
  ],
  ['a server that is verified', 'postgres://db/shop?sslmode=verify-full', 'db', 'db:5432/shop', 'verified'],
  ['an authority', 'postgres://db/shop?sslmode=verify-ca&sslrootcert=/ca', 'db', 'db:5432/shop', 'verified'],
]

for (const [why, url, host, place, protection] of postgres) {
  test(`the database ${url} is read: ${why}`, () => {
    const read = parseDatabaseUrl(url, '/srv')
    assert.equal(read.kind, 'postgres')
    if (read.kind !== 'postgres') return
    assert.deepEqual([read.host, read.place, read.protection], [host, place, protection])
  })
}

const refused: [why: string, url: string, message: RegExp][] = [
  ['three slashes are relative to some and absolute to others', 'sqlite:///db.sqlite3', /^names no database$/],
  ['sessions in memory are what the engine cache is for', 'sqlite::memory:', /^names no database$/],
  ['a directory', 'sqlite:/data/', /^names no database$/],
  ['parameters, which nobody would read', 'sqlite:/data/db?mode=ro', /^names no database$/],
  ['another database', 'mysql://h/db', /^names no database$/],
  ['a password that passes for a port', 'postgres://shop:2024/secret@db', /^names no database of the server$/],
  ['no database', 'postgres://u:p@db', /names no database of the server/],
  ['no database behind the slash', 'postgres://u:p@db/', /names no database of the server/],
  ['two names', 'postgres://u:p@db/a/b', /names no database of the server/],
  ['no server', 'postgres:///shop', /names no server/],
  ['two servers, of which the driver takes one', 'postgres://a/shop?host=b', /names no server/],
  ['a name as no resolver takes it', 'postgres://a*b/shop', /names no server/],
  ['several servers, as only libpq has them', 'postgres://a,b/shop', /names no server/],
  ['no slashes', 'postgres:shop', /cannot be read as a URL/],
  ['a password that ends the URL', 'postgres://u:hunt#er2@db/shop', /cannot be read/],
  ['a password with a bare percent sign', 'postgres://u:hunt%er2@db/shop', /cannot be read/],
  ['a password with a question mark', 'postgres://u:1?hunter2=x@db/shop', /^has something behind "\?"/],
  ['a space', 'postgres://u:p@db/my shop', /cannot be read/],
  ['a parameter that is misspelt', 'postgres://db/shop?sslmod=require', /the parameter "sslmod"/],
  ['a password behind the question mark', 'postgres://db/shop?password=hunter2', /the parameter "password"/],
  ['a parameter twice', 'postgres://db/shop?sslmode=require&sslmode=disable', /twice/],
  ['a port beside another', 'postgres://db:5432/shop?port=5433', /a port behind "\?"/],
  ['a port that is none', 'postgres:///shop?host=/run&port=x', /a port behind "\?"/],
  ['a mode that is none', 'postgres://db/shop?sslmode=on', /sslmode that is not supported/],
  ['a mode that may give up TLS', 'postgres://db/shop?sslmode=prefer', /sslmode that is not supported/],
  ['a check against nothing', 'postgres://db/shop?sslmode=verify-ca', /verify-ca without sslrootcert/],
  ['a mode that every object has', 'postgres://db/shop?sslmode=toString', /sslmode that is not supported/],
  ['a user and nobody to ask', 'postgres://u:p@/shop', /names no server/],
  ['an authority that nobody asks', 'postgres://db/shop?sslrootcert=/ca', /certificates without sslmode/],
  ['half a certificate', 'postgres://db/shop?sslmode=verify-full&sslcert=/c', /one of sslcert and sslkey/],
]

for (const [why, url, message] of refused) {
  test(`the database ${url} is refused: ${why}`, () => {
    const read = parseDatabaseUrl(url, '/srv')
    assert.equal(read.kind, 'flaw')
    if (read.kind !== 'flaw') return
    assert.match(read.message, message)
    assert.notEqual(read.hint, '')
    assert.doesNotMatch(read.message + read.hint, /hunt/)
  })
}
