import { existsSync, globSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { findFreePort, findOwner } from '../../../test/support/postgres.ts'
import { requireServer } from '../../../test/support/requirement.ts'
import { cookieOf, type Peer } from '../peer.ts'
import { findProgram, startProgram, versionOf } from '../program.ts'

const path = findProgram('apache2', 'httpd') ?? ''
const modules = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules', '/usr/libexec/apache2'].find(existsSync) ?? ''
const names = ['mpm_event', 'authz_core', 'headers', 'dbd', 'session', 'session_dbd', 'proxy', 'proxy_http']

/** Debian has these built in, others do not. */
const perhapsBuiltIn = ['unixd', 'log_config']

interface Facts {
  readonly folder: string
  readonly port: number
  readonly appOrigin: string
  readonly database: URL
}

/**
 * mod_session_dbd as its page describes it. The app logs people in by a header, as the gateway's apps do; a session is
 * read for each request, and not written, since its expiry is renewed every five minutes at most.
 */
function configOf({ folder, port, appOrigin, database }: Facts): string {
  const owner = findOwner()
  const load = (name: string): string => `LoadModule ${name}_module ${modules}/mod_${name}.so`
  const also = perhapsBuiltIn.filter((name) => existsSync(`${modules}/mod_${name}.so`))
  return `
ServerRoot ${folder}
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
DefaultRuntimeDir ${folder}
PidFile ${folder}/httpd.pid
ErrorLog ${folder}/httpd.errors
${[...names, ...also].map(load).join('\n')}
${owner === undefined ? '' : `User #${owner.uid}\nGroup #${owner.gid}`}
Mutex default:${folder}

StartServers 1
ServerLimit 1
ThreadLimit 96
ThreadsPerChild 96
MaxRequestWorkers 96
ListenBacklog 4096
KeepAlive On
KeepAliveTimeout 600
MaxKeepAliveRequests 0
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
CustomLog ${folder}/access.log combined

DBDriver pgsql
DBDParams "host=127.0.0.1 port=${database.port} user=${database.username} dbname=${database.pathname.slice(1)}"
DBDMin 8
DBDKeep 64
DBDMax 64
DBDPrepareSQL "select value from session where key = %s and (expiry = 0 or expiry > %lld)" selectsession
DBDPrepareSQL "delete from session where key = %s" deletesession
DBDPrepareSQL "insert into session (value, expiry, key) values (%s, %lld, %s)" insertsession
DBDPrepareSQL "update session set value = %s, expiry = %lld, key = %s where key = %s" updatesession
DBDPrepareSQL "delete from session where expiry != 0 and expiry < %lld" cleansession

Session On
SessionEnv On
SessionHeader X-Apache-Session
SessionDBDCookieName session path=/
SessionMaxAge 1209600
SessionExpiryUpdateInterval 300
RequestHeader unset X-User-Name
RequestHeader set X-User-Name "%{HTTP_SESSION}e" env=HTTP_SESSION
ProxyPass / ${appOrigin}/ keepalive=On
`
}

async function createTable(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('CREATE TABLE session (key varchar PRIMARY KEY, value text, expiry bigint)')
  await client.end()
}

export const apache: Peer = {
  name: 'Apache mod_session_dbd',
  work: 'session',
  does: 'session from PostgreSQL for each request, all of it up in a header, access log; no rule, no signature',
  async lack() {
    if (path === '' || modules === '') return 'it is not installed'
    const missing = names.find((name) => !existsSync(`${modules}/mod_${name}.so`))
    if (missing !== undefined) return `mod_${missing} is not installed`
    if (globSync('/usr/lib*/{,*/}apr-util-1/apr_dbd_pgsql*.so').length === 0)
      return 'its driver for PostgreSQL is not installed'
    const { skip } = requireServer('postgres')
    return skip === false ? undefined : skip
  },
  async start({ folder, appOrigin, postgresUrl }) {
    const port = await findFreePort()
    const url = await postgresUrl()
    await createTable(url)
    const file = join(folder, 'httpd.conf')
    await writeFile(file, configOf({ folder, port, appOrigin, database: new URL(url) }))
    const program = startProgram(path, ['-D', 'FOREGROUND', '-f', file], { folder, name: 'httpd' })
    await program.untilListening(port)
    const origin = `http://127.0.0.1:${port}`
    return {
      origin,
      pid: program.pid,
      version: await versionOf(path, '-v'),
      async logIn() {
        // It sends the cookie twice, once for each table of headers that an answer of Apache has.
        const cookie = cookieOf(await fetch(`${origin}/login`, { method: 'POST' }))
        return cookie.split('; ', 1)[0] ?? ''
      },
      [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
    }
  },
}
