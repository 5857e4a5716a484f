import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import { createAdminApi } from '../../../src/admin/api.ts'
import type { Operations } from '../../../src/admin/operations.ts'
import { within } from '../../support/deadline.ts'

const TOKEN = 'a-token-of-these-tests-0123456789'

test('who asked for something that takes long is not taken for somebody who is idle', async () => {
  const cleared = Promise.withResolvers<number>()
  const begun = Promise.withResolvers<void>()
  const operations: Pick<Operations, 'clearExpired'> = {
    clearExpired() {
      begun.resolve()
      return cleared.promise
    },
  }
  const api = createAdminApi({
    operations: operations as Operations,
    token: TOKEN,
    version: '0',
    onAudit: () => undefined,
    onFailure: (error) => assert.fail(String(error)),
  })
  const server = createServer((request, response) => void api.serve(request, response, undefined))
  server.setTimeout(50)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const answer = fetch(`http://127.0.0.1:${port}/api/store/clear-expired`, { method: 'POST', headers, body: '{}' })
  await within('the operation to begin', begun.promise)
  // It came later, says nothing, and is let go: so would the first have been.
  const idle = connect(port, '127.0.0.1')
  idle.resume()
  await within('an idle connection to be closed', once(idle, 'close'))
  cleared.resolve(7)
  const { status } = await within('the answer', answer)
  assert.equal(status, 200)
  assert.deepEqual(await (await answer).json(), { cleared: 7 })
  server.closeAllConnections()
  server.close()
})
