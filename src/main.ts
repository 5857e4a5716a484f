import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { wordsOf } from './cli/failure-words.ts'
import { runProgram } from './cli/program.ts'
import { systemClock } from './lib/clock.ts'
import type { FleetParts } from './workers/fleet-options.ts'
import { createClusterFork, WORKER_ARGUMENT } from './workers/forking.ts'

// What a command needs of these is loaded when it runs: `--help` should not wait for database drivers.
const gateway = () => import('./gateway.ts')
const sessionParts = () => import('./session-parts.ts')

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

// `sessions list | head`: the reader has what it wanted, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const [, program = '', ...args] = process.argv

// Somebody who types that word has no supervisor at the other end.
if (args[0] === WORKER_ARGUMENT && process.send !== undefined) {
  const { openSupervisorLine, runWorker } = await import('./workers/worker.ts')
  const { openGateway } = await gateway()
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
  get outputColumns() {
    // Asked each time: windows are made wider. A terminal that does not tell has 80.
    return process.stdout.isTTY === true ? process.stdout.columns || 80 : undefined
  },
  onInterrupt(listener) {
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, listener)
    return () => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, listener)
    }
  },
  pause: (durationMs, signal) => setTimeout(durationMs, undefined, { signal }).catch(() => undefined),
  openGateway: async (config, options) => (await gateway()).openGateway(config, options),
  async openFleet(config, options) {
    const { openFleet } = await import('./workers/fleet.ts')
    const { createFileOperations } = await import('./gateway-operations.ts')
    const { createSpeechOpener, createTlsOpener } = await import('./tls-parts.ts')
    const openSpeech: FleetParts['openSpeech'] = (told) =>
      createSpeechOpener(createTlsOpener({ ...told, ticketSecret: undefined }))
    const parts = { fork: createClusterFork(program), fileOperations: createFileOperations, openSpeech }
    return await openFleet({ config, ...options }, parts)
  },
  readGeneratedSigningKey: async () => (await sessionParts()).readGeneratedSigningKey(),
  storeExaminations: async (config, timeoutMs) =>
    (await import('./store-examination.ts')).storeExaminations(config, timeoutMs),
  ask: process.stdin.isTTY === true && process.stderr.isTTY === true ? askTerminal : undefined,
  explain: async (config, question) => (await import('./explanation.ts')).explainRequest(config, question),
  async openSessionTools(config) {
    const { openSessionParts } = await sessionParts()
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
    const { readSessionCodec } = await sessionParts()
    const decoded = (await readSessionCodec(config)).decode(encoded)
    if (!decoded.ok) return decoded
    const { writeSessionData } = await import('./django/json.ts')
    return { ok: true, json: writeSessionData(decoded.data), signedAt: decoded.signedAt, key: decoded.key }
  },
})

async function askTerminal(question: string): Promise<string> {
  using terminal = createInterface({ input: process.stdin, output: process.stderr })
  const { promise, reject } = Promise.withResolvers<never>()
  terminal.once('close', () => reject(new Error('nobody answered')))
  return await Promise.race([terminal.question(question), promise])
}
