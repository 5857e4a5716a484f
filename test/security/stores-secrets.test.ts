import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { createSessionKey } from '../../src/django/session-key.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { exchange, openStage, type Stage } from './stage.ts'

const [postgresPassword, redisPassword] = ['CANARYpostgresCANARY', 'CANARYredisCANARY']
const skip = requireServer('postgres').skip || requireServer('redis').skip

/** What the servers say in their errors is made to quote whatever they were sent. */
const TELLTALE_SQL = `
  CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'the row % with %', OLD.session_key, OLD.session_data
      USING DETAIL = OLD.session_key, HINT = OLD.session_key, CONSTRAINT = OLD.session_key;
  END $$;
  CREATE TRIGGER tell BEFORE UPDATE OR DELETE ON django_session FOR EACH ROW EXECUTE FUNCTION tell()`

describe('what stores know stays out of what is told of them', { skip }, () => {
  const stack = new AsyncDisposableStack()
  let server: PostgresServer
  let database: PostgresDatabase
  let redis: RedisServer
  let proxies: { readonly postgres: FaultProxy; readonly redis: FaultProxy }
  let stage: Stage
  const answers: string[] = []
  const keys = new Set<string>()

  before(async () => {
    server = stack.use(await startPostgres())
    database = await server.createDatabase()
    const gate = ['user default off', `user gate on >${redisPassword} ~* +@all`]
    redis = stack.use(await startRedis({ acl: gate }))
    const [row] = await database.sql('SHOW hba_file')
    writeFileSync(
      String(row?.hba_file),
      'local all all trust\nhost all postgres samehost trust\nhost all all samehost scram-sha-256\n',
    )
    await database.sql(`CREATE ROLE gate LOGIN SUPERUSER PASSWORD '${postgresPassword}'; SELECT pg_reload_conf()`)
    proxies = {
      postgres: stack.use(await startFaultProxy(server.port)),
      redis: stack.use(await startFaultProxy(redis.port)),
    }
    stage = stack.use(await openStage(configWith(postgresPassword)))
  })
  after(() => stack.disposeAsync())

  function configWith(password: string): string {
    return `
session: { engine: cached_db, secret_key: a-secret-key-of-more-than-32-bytes-0123456789, auth_key: userInfo }
database: { url: "postgres://gate:${password}@127.0.0.1:${proxies.postgres.port}/${database.name}", create: true }
caches: { default: { backend: redis, url: "redis://gate:${redisPassword}@127.0.0.1:${proxies.redis.port}" } }
keys: [{ id: k1, secret: "0123456789abcdef0123456789abcdef" }]
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`
  }

  async function send(lines: readonly string[] = []): Promise<string> {
    const head = ['GET /a HTTP/1.1', 'Host: x', 'Accept: text/html', 'Connection: close', ...lines, '', '']
    const came = await exchange(stage.gateway.port, head.join('\r\n'))
    for (const [, key] of came.matchAll(/sessionid=([a-z0-9]{32});/g)) if (key !== undefined) keys.add(key)
    answers.push(came.replace(/Set-Cookie: .*/g, '').replace(/"rawHeaders".*/s, ''))
    return came
  }

  async function login(): Promise<string> {
    const came = await send(['Say: X-Session-Set: {"userInfo":{"name":"CANARYvalueCANARY"}}'])
    const key = /sessionid=([a-z0-9]{32});/.exec(came)?.[1]
    assert.ok(key, came)
    return key
  }

  /** Reads and changes of a session that is there: served, or refused as contract section 5 has it; never anything else. */
  async function use(key: string, isGarbled = false): Promise<void> {
    const cookie = `Cookie: sessionid=${key}`
    const changing = ['Say: X-Session-Set: {"cart":"CANARYcartCANARY"}']
    for (const say of [[], changing, [], ['Say: X-Session-Command: cycle-key']]) {
      const came = await send([cookie, ...say])
      assert.match(came, /^HTTP\/1\.1 (200|503) /)
      // What the database said, bent on the way, may well be that there is no such session.
      if (isGarbled) continue
      assert.doesNotMatch(came, /Max-Age=0/i)
      if (came.startsWith('HTTP/1.1 503')) assert.doesNotMatch(came, /Set-Cookie/)
      else if (say.length > 0) assert.match(came, /Set-Cookie/)
    }
  }

  test('no password, no key and no value is in a log line, on stderr, in the metrics or on a page', async () => {
    await send([`Cookie: sessionid=${createSessionKey()}`])
    const key = await login()
    await database.sql(TELLTALE_SQL)
    await use(key)
    await database.sql('DROP TRIGGER tell ON django_session')
    for (const proxy of [proxies.postgres, proxies.redis]) {
      for (const fault of [
        { kind: 'corrupt', direction: 'down', everyBytes: 41 },
        { kind: 'corrupt', direction: 'up', everyBytes: 41 },
        { kind: 'duplicate' },
        { kind: 'cut', direction: 'down', afterBytes: 30 },
        { kind: 'stall' },
      ] as const) {
        const fresh = await login()
        proxy.set(fault)
        await use(fresh, fault.kind === 'corrupt' || fault.kind === 'duplicate')
        proxy.pass()
        proxy.kill()
        await comesBack()
      }
    }
    // Each is used once: its key is cycled where that works.
    const [one, two, three] = [await login(), await login(), await login()]
    await redis.command('ACL', 'SETUSER', 'gate', 'resetkeys', '~other*')
    await use(one)
    await redis.command('ACL', 'SETUSER', 'gate', 'resetpass', '>another')
    proxies.redis.kill()
    await use(two)
    await database.sql(`ALTER ROLE gate PASSWORD 'another'`)
    proxies.postgres.kill()
    await use(three)

    const { gateway } = stage
    const told = await Promise.all(
      ['/metrics', '/readyz'].map(async (path) => (await fetch(gateway.operatorUrl + path)).text()),
    )
    const processTitle = readFileSync(`/proc/${gateway.process.pid}/cmdline`, 'latin1')
    await gateway.stop()
    const places = { log: JSON.stringify(gateway.log), stderr: gateway.stderr(), told, processTitle, answers }
    for (const [place, content] of Object.entries(places)) {
      const text = String(content)
      assert.doesNotMatch(text, /CANARY/, place)
      for (const known of keys) assert.equal(text.includes(known), false, `a session key in ${place}`)
    }
    assert.doesNotMatch(gateway.stderr(), /Error|Unhandled|Warning/)
    assert.ok(keys.size > 10)
  })

  /** As when the gateway is back on its feet after a fault. */
  async function comesBack(): Promise<void> {
    const giveUpAt = performance.now() + 10_000
    while (!/^HTTP\/1\.1 200/.test(await send([`Cookie: sessionid=${createSessionKey()}`]))) {
      assert.ok(performance.now() < giveUpAt, 'the stores are back, and the gateway is not')
    }
  }
})
