import { writeSync } from 'node:fs'
import { createSessionCodec } from '../../src/django/session-data.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import type { SessionEngine, TransitionResult } from '../../src/sessions/engine.ts'
import { createFileSessions } from '../../src/sessions/engines/file.ts'

/** What the program does with the session whose member `id` this is; a change also counts its member `n` up by one. */
export interface CrashStep {
  readonly kind: 'create' | 'update' | 'cycle' | 'delete'
  readonly id: string
}

export interface CrashTask {
  readonly directory: string
  readonly steps: readonly CrashStep[]
}

/** One line of the program's output: this step is done, and the session is now under this key. */
export interface Acknowledgement {
  readonly step: number
  readonly key: string
}

export interface CrashEngineOptions {
  readonly directory: string
  readonly newKey: () => string
  readonly clock?: Clock
}

/** The `file` engine as the program has it. Sessions live two weeks. */
export function openCrashEngine({ directory, newKey, clock = systemClock }: CrashEngineOptions): SessionEngine {
  return createFileSessions({
    directory,
    prefix: 'sessionid',
    lockTimeoutMs: 5000,
    codec: createSessionCodec({ secretKey: 'test-secret-key-0123456789' }),
    expiryRules: { cookieAgeSeconds: 1_209_600, expireAtBrowserClose: false, dates: 'iso', useTz: true },
    clock,
    newKey,
  })
}

/** The same keys in every run, so that the names of all files are known before. */
export function countingKeys(): () => string {
  let count = 0
  return () => `crash${(count++).toString(36).padStart(27, '0')}`
}

/** The acknowledgements in what the program wrote, without a line that was cut. */
export function parseAcknowledgements(output: string): readonly Acknowledgement[] {
  const lines = output.split('\n').slice(0, -1)
  return lines.map((line) => {
    const [step, key = ''] = line.split(' ')
    return { step: Number(step), key }
  })
}

/** Does the steps one after the other, and says so at once when one is done. Whoever kills it may do so at any moment. */
async function perform({ directory, steps }: CrashTask): Promise<void> {
  await using engine = openCrashEngine({ directory, newKey: countingKeys() })
  const keys = new Map<string, string>()
  for (const [step, it] of steps.entries()) {
    const key = await performStep(engine, it, keys.get(it.id) ?? '')
    keys.set(it.id, key)
    writeSync(1, `${step} ${key}\n`)
  }
}

async function performStep(engine: SessionEngine, { kind, id }: CrashStep, key: string): Promise<string> {
  if (kind === 'create') return await engine.create(new Map([['id', JSON.stringify(id)]]).set('n', '0'))
  const result: TransitionResult = await engine.transition(key, (now) => {
    if (kind === 'delete') return { kind }
    return { kind, data: new Map(now).set('n', `${Number(now.get('n')) + 1}`) }
  })
  if (result.kind === 'stored') return result.key
  if (result.kind === 'deleted') return key
  throw new Error(`${kind} of ${id} came to ${result.kind}`)
}

if (import.meta.main) await perform(JSON.parse(process.argv[2] ?? ''))
