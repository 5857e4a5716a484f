import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findFreePort } from '../../../test/support/postgres.ts'
import { requireServer } from '../../../test/support/requirement.ts'
import { openGoProgram } from '../go-program.ts'
import { cookieOf, type Peer } from '../peer.ts'
import { startProgram } from '../program.ts'

const program = openGoProgram({
  name: 'oauth2-proxy',
  module: 'github.com/oauth2-proxy/oauth2-proxy/v7',
  version: 'v7.6.0',
})
const password = 'a-password-of-the-benchmark'

export const oauth2Proxy: Peer = {
  name: 'oauth2-proxy',
  work: 'session',
  does: 'session from Redis for each request, user required, name up in a header, access log; no signature',
  userHeader: 'X-Forwarded-User',
  async lack() {
    const { skip } = requireServer('redis')
    return skip === false ? await program.lack() : skip
  },
  async start({ folder, appOrigin, redisPort }) {
    const port = await findFreePort()
    const users = join(folder, 'users')
    await writeFile(users, `ada:{SHA}${createHash('sha1').update(password).digest('base64')}\n`)
    const options = {
      'http-address': `127.0.0.1:${port}`,
      upstream: `${appOrigin}/`,
      // Nobody asks the provider: people log in by the form, and what they get is a session like any other.
      provider: 'github',
      'client-id': 'bench',
      'client-secret': 'bench',
      'email-domain': '*',
      'htpasswd-file': users,
      'cookie-secret': '0123456789abcdef0123456789abcdef',
      'cookie-secure': 'false',
      'session-store-type': 'redis',
      'redis-connection-url': `redis://127.0.0.1:${await redisPort()}/2`,
    }
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
    const running = startProgram(program.path, args, { folder, name: 'oauth2-proxy' })
    await running.untilListening(port)
    const origin = `http://127.0.0.1:${port}`
    return {
      origin,
      pid: running.pid,
      version: program.version,
      async logIn() {
        const body = new URLSearchParams({ username: 'ada', password })
        return cookieOf(await fetch(`${origin}/oauth2/sign_in`, { method: 'POST', body, redirect: 'manual' }))
      },
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    }
  },
}
