import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CliContext } from '../../../src/cli/context.ts'
import { runProgram } from '../../../src/cli/program.ts'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { atOnce, KEY, type Step, TwoStores } from '../sessions/two-stores.ts'

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly pauses: readonly number[]
}

/** Runs the command on two stores of the test's own; the files only say that there are two. */
async function run(world: TwoStores, args: readonly string[], newStep: (interrupt: () => void) => Step): Promise<Ran> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-copy-'))
  const config = join(folder, 'any.yaml')
  const minimal = `version: 1
hosts: [a.example.com]
upstreams: { app: { servers: ["http://127.0.0.1:9"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`
  await writeFile(config, minimal)
  const [stdout, stderr]: string[][] = [[], []]
  const pauses: number[] = []
  const listeners = new Set<() => void>()
  const step = newStep(() => {
    for (const listener of listeners) listener()
  })
  const engines = [world.old.connect(atOnce), world.new.connect(step)]
  const unused = () => assert.fail('no part of copying')
  const context: CliContext = {
    env: {},
    print: (text) => void stdout?.push(text),
    tell: (text) => void stderr?.push(text),
    readStdin: unused,
    isTerminal: true,
    onInterrupt(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    pause: async (durationMs) => void pauses.push(durationMs),
    version: '0',
    openGateway: unused,
    openFleet: unused,
    openSessionTools: async () => ({
      engine: engines.shift() ?? assert.fail('a third store'),
      publicId: (key) => `id of ${key}`,
      userSessions: undefined,
      clearBatch: 10,
      async [Symbol.asyncDispose]() {},
    }),
    decode: unused,
    readGeneratedSigningKey: unused,
    explain: unused,
    storeExaminations: unused,
  }
  try {
    const code = await runProgram(['sessions', 'copy', '--from', config, '--to', config, ...args], context)
    assert.equal(listeners.size, 0, 'the signal is left alone afterwards')
    return { code, stdout: stdout?.join('') ?? '', stderr: stderr?.join('') ?? '', pauses }
  } finally {
    await rm(folder, { recursive: true })
  }
}

function worldOf(count: number): TwoStores {
  const world = new TwoStores()
  world.now = Date.now()
  world.old.put(KEY, '{}')
  for (let i = 1; i < count; i++) world.old.put(`session${i}`, '{}')
  return world
}

test('a store that stays away ends the command with 1, with what was reached and how to go on', async () => {
  let calls = 0
  const failing: Step = async (_name, effect) => {
    if (++calls > 5) throw storeUnavailable('the other store is away', new Error('ECONNREFUSED'))
    return effect()
  }
  const { code, stdout, stderr, pauses } = await run(worldOf(20), ['--parallel', '1'], () => failing)
  assert.equal(code, 1, stdout + stderr)
  assert.match(stdout, /^copied +5\n/)
  assert.match(stdout, /\nfailed +1\n$/)
  assert.equal(
    stderr,
    'sessiongate: a store failed, several times in a row: the other store is away: ECONNREFUSED; ' +
      'run the same command again, and it goes on\n',
  )
  assert.deepEqual(pauses, [200, 500, 1000, 2000, 4000])
})

test('Ctrl-C ends it after what is under way, with the counts and how to go on', async () => {
  const world = worldOf(20)
  let calls = 0
  const { code, stdout, stderr } = await run(
    world,
    ['--parallel', '1', '--json'],
    (interrupt) => async (_name, effect) => {
      if (++calls === 5) interrupt()
      return effect()
    },
  )
  assert.equal(code, 1)
  const { copied, end } = JSON.parse(stdout)
  assert.deepEqual([end, copied], ['interrupted', world.new.rows.size])
  assert.ok(copied >= 5 && copied < 20)
  assert.equal(stderr, 'sessiongate: interrupted; run the same command again, and it goes on\n')
})
