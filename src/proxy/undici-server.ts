import type { Attempt, AttemptFailure, Server, ServerOptions } from './attempt.ts'
import { isRefusal } from './failure.ts'
import { requireSendable } from './request-head.ts'
import { createConnectionPool } from './undici-connection.ts'
import { type Outcome, runExchange } from './undici-exchange.ts'

/** One server, spoken to by undici: `https://`, and whatever asks for a change of the protocol. */
export function createUndiciServer(options: ServerOptions): Server {
  const { name, address, book, tls, timeouts, maxHeaderBytes, sockets } = options
  const pool = createConnectionPool({
    address,
    book,
    tls,
    connectMs: timeouts.connectMs,
    maxHeaderBytes,
    sockets,
    facts: { upstream: name, server: address.label },
  })

  async function send(attempt: Attempt): Promise<void> {
    const { request, ownHost, isFresh, isUpgrade } = attempt
    const { client } = request
    const connection = await pool.acquire({ isFresh, client }).catch((error: unknown) => {
      attempt.failed({ error, isUnused: false, isUnconnected: true, wasCutUnanswered: isRefusal(error) })
    })
    if (connection === undefined) return
    const outcome = await runExchange({ connection, request, ownHost, timeouts, isUpgrade })
    if (outcome.kind === 'answer') attempt.answered(outcome.head, outcome.body)
    else if (outcome.kind === 'switched') {
      connection.handOver()
      attempt.switched(outcome.headers, outcome.socket)
    } else attempt.failed(failureOf(outcome, connection.isReused))
  }

  return {
    address,
    get load() {
      const { active, pending } = pool.stats()
      return active + pending
    },
    send(attempt) {
      requireSendable(attempt.request)
      send(attempt).catch((error: unknown) => {
        attempt.failed({ error, isUnused: false, isUnconnected: false, wasCutUnanswered: false })
      })
    },
    stats: () => pool.stats(),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}

function failureOf(outcome: Extract<Outcome, { kind: 'failed' }>, isReused: boolean): AttemptFailure {
  const { error, wasSent, wasCutUnanswered } = outcome
  return { error, isUnused: !wasSent && isReused, isUnconnected: false, wasCutUnanswered }
}
