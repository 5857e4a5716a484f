/** Whom the command line gives the operator's token, where the configuration says which certificate the gateway shows. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openAuthority } from '../support/certificates.ts'
import { plainEnvironment, runCommand } from '../support/command.ts'

const TOKEN = 'the-token-of-this-test-0123456789'
const main = join(import.meta.dirname, '../../src/main.ts')

test('the token goes to who shows the very certificate, and not to the owner of another by the same authority', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-pinned-'))
  const authority = await openAuthority(folder.path)
  const own = await authority.issue({ hosts: ['ops.example.com'] })
  const others = await authority.issue({ hosts: ['evil.example.com'] })
  // As public authorities hand them out: the certificate, and behind it who has issued it.
  await writeFile(join(folder.path, 'chain.crt'), own.cert + authority.cert)
  await writeFile(join(folder.path, 'ops.key'), own.key, { mode: 0o600 })
  const cases = [
    ['the gateway', { cert: own.cert + authority.cert, key: own.key }, 0],
    ['the gateway, without the authority', own, 0],
    ['somebody else, by the same authority', { cert: others.cert + authority.cert, key: others.key }, 1],
  ] as const
  for (const [who, shown, code] of cases) {
    const tokens: (string | undefined)[] = []
    const server = createServer(shown, ({ headers }, response) => {
      tokens.push(headers.authorization)
      response.setHeader('Content-Type', 'application/json').end('{}')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const config = `version: 1
listen: [{ address: "127.0.0.1:0" }]
admin: { listen: "127.0.0.1:${port}", token: ${TOKEN}, tls: { cert: chain.crt, key: ops.key } }
upstreams: { app: { servers: ["http://127.0.0.1:9"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`
    await writeFile(join(folder.path, 'sessiongate.yaml'), config)
    const args = [main, 'status', '--config', 'sessiongate.yaml']
    const result = await runCommand(process.execPath, args, { cwd: folder.path, env: plainEnvironment() })
    server.close()
    assert.equal(result.code, code, `${who}: ${result.stderr}`)
    assert.equal(tokens.includes(`Bearer ${TOKEN}`), code === 0, who)
  }
})
