import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { GatewayError } from '../../src/errors.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { openSessions } from './postgres-sessions.ts'

const { skip } = requireServer('postgres')

describe('TLS to PostgreSQL', { skip }, () => {
  const stack = new AsyncDisposableStack()
  let certificates: Certificates
  let server: PostgresServer
  let database: PostgresDatabase
  let stranger: string
  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-tls-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const elsewhere = await mkdtemp(join(tmpdir(), 'sessiongate-tls-'))
    stack.defer(() => rm(elsewhere, { recursive: true }))
    certificates = await makeCertificates(folder)
    stranger = (await makeCertificates(elsewhere)).files.ca
    const { ca, serverCert, serverKey } = certificates.files
    const [cert, key, clientCa] = await Promise.all([serverCert, serverKey, ca].map((path) => readFile(path, 'utf8')))
    server = stack.use(await startPostgres({ tls: { cert: cert ?? '', key: key ?? '', clientCa: clientCa ?? '' } }))
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz);
      CREATE FUNCTION how() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.session_data := (SELECT ssl::text || ' ' || coalesce(client_dn, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid());
        RETURN NEW; END $$;
      CREATE TRIGGER how BEFORE INSERT ON django_session FOR EACH ROW EXECUTE FUNCTION how()`)
  })
  after(() => stack.disposeAsync())

  /** How the connection is protected, as the server sees it. */
  async function connection(query: string, host = '127.0.0.1'): Promise<string> {
    await database.sql('TRUNCATE django_session')
    await using engine = openSessions(`${database.url.replace('127.0.0.1', host)}${query}`)
    await engine.create(new Map())
    const [row] = await database.sql('SELECT session_data FROM django_session')
    return String(row?.session_data)
  }

  test('is what sslmode says, in the meaning of libpq', async () => {
    const { ca } = certificates.files
    const folder = ca.replace(/ca\.crt$/, '')
    const client = `&sslcert=${folder}client.crt&sslkey=${folder}client.key`
    const cases: [why: string, query: string, seen: string, host?: string][] = [
      ['nothing said', '', 'false '],
      ['disable', '?sslmode=disable', 'false '],
      ['require: whoever answers', '?sslmode=require', 'true '],
      ['require with an authority', `?sslmode=require&sslrootcert=${ca}`, 'true '],
      ['verify-ca: under any name', `?sslmode=verify-ca&sslrootcert=${ca}`, 'true '],
      ['verify-full, an address', `?sslmode=verify-full&sslrootcert=${ca}`, 'true '],
      ['verify-full, a name', `?sslmode=verify-full&sslrootcert=${ca}`, 'true ', 'localhost'],
      ['a certificate of our own', `?sslmode=verify-full&sslrootcert=${ca}${client}`, 'true /CN=client'],
    ]
    for (const [why, query, seen, host] of cases) assert.equal(await connection(query, host), seen, why)
  })

  test('is not made with a server that is not the right one', async () => {
    const cases: [why: string, query: string][] = [
      ['of another authority', `?sslmode=verify-full&sslrootcert=${stranger}`],
      ['of another authority, require', `?sslmode=require&sslrootcert=${stranger}`],
      ['of another authority, verify-ca', `?sslmode=verify-ca&sslrootcert=${stranger}`],
      ['of no authority that Node knows', '?sslmode=verify-full'],
      ['of no authority that the system knows', '?sslmode=verify-full&sslrootcert=system'],
    ]
    for (const [why, query] of cases) await assert.rejects(connection(query), { code: 'ERR_STORE_UNAVAILABLE' }, why)
  })

  test('is never given up for a server without it', async () => {
    await using plain = await startPostgres()
    const { url } = await plain.createDatabase()
    await using engine = openSessions(`${url}?sslmode=require`)
    await assert.rejects(engine.ping(), /cannot be reached: The server does not support SSL connections/)
  })

  test('a certificate that cannot be read is told at the start, not by the death of the process later', async () => {
    assert.throws(
      () => openSessions(`${database.url}?sslmode=verify-full&sslrootcert=/nowhere/ca.crt`),
      (error) => error instanceof GatewayError && /\/nowhere\/ca\.crt/.test(error.message),
    )
  })
})
