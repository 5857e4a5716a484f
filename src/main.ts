import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { wordsOf } from './cli/failure-words.ts'
import { runProgram } from './cli/program.ts'
import { writeSessionData } from './django/json.ts'
import { explainRequest } from './explanation.ts'
import { openGateway } from './gateway.ts'
import { systemClock } from './lib/clock.ts'
import { openSessionParts, readGeneratedSigningKey, readSessionCodec } from './session-parts.ts'
import { openFleet } from './workers/fleet.ts'
import { createClusterFork, WORKER_ARGUMENT } from './workers/forking.ts'
import { openSupervisorLine, runWorker } from './workers/worker.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

// `sessions list | head`: the reader has what it wanted, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const [, program = '', ...args] = process.argv

// Somebody who types that word has no supervisor at the other end.
if (args[0] === WORKER_ARGUMENT && process.send !== undefined) {
  const line = openSupervisorLine()
  const { env } = process
  const open: Parameters<typeof runWorker>[0]['openGateway'] = (config, place) =>
    openGateway(config, { warnings: [], version, place })
  process.exit(await runWorker({ line, version, env, openGateway: open, wordsOf }))
}

process.exitCode = await runProgram(args, {
  env: process.env,
  version,
  print: (line) => void process.stdout.write(line),
  tell: (line) => void process.stderr.write(line),
  readStdin: () => text(process.stdin),
  isTerminal: process.stderr.isTTY === true,
  onInterrupt(listener) {
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, listener)
    return () => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, listener)
    }
  },
  pause: (durationMs, signal) => setTimeout(durationMs, undefined, { signal }).catch(() => undefined),
  openGateway,
  openFleet: (config, options) => openFleet({ config, ...options }, { fork: createClusterFork(program) }),
  readGeneratedSigningKey,
  explain: explainRequest,
  async openSessionTools(config) {
    const { engine, publicId, userSessions } = await openSessionParts(config, { clock: systemClock })
    return {
      engine,
      publicId,
      userSessions,
      clearBatch: config.session.clearExpired?.batch ?? 1000,
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    }
  },
  async decode(config, encoded) {
    const decoded = (await readSessionCodec(config)).decode(encoded)
    if (!decoded.ok) return decoded
    return { ok: true, json: writeSessionData(decoded.data), signedAt: decoded.signedAt, key: decoded.key }
  },
})
