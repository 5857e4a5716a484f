import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { type CommandResult, plainEnvironment, runCommand } from '../support/command.ts'
import { within } from '../support/deadline.ts'
import { freePort } from '../support/redis-program.ts'
import { requireServer } from '../support/requirement.ts'

const checkout = resolve(import.meta.dirname, '../..')
const unit = await readFile(join(checkout, 'deploy/systemd/sessiongate.service'), 'utf8')
const analyze = requireServer('systemd-analyze')

/** The values of a setting, in the order of the unit. */
function valuesOf(setting: string): string[] {
  return [...unit.matchAll(new RegExp(`^${setting}=(.*)$`, 'gm'))].map(([, value = '']) => value)
}

describe('the unit for systemd', () => {
  let folder: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-unit-'))
  })
  after(() => rm(folder, { recursive: true }))

  test('systemd has nothing to say against it, and finds little that it is exposed to', {
    skip: analyze.skip,
  }, async () => {
    // What it starts must exist, or that is all that is said.
    const program = join(folder, 'sessiongate')
    await writeFile(program, '#!/bin/sh\n', { mode: 0o755 })
    const file = join(folder, 'sessiongate.service')
    await writeFile(file, unit.replaceAll('/usr/local/bin/sessiongate', program))
    const verified = await runCommand(analyze.path, ['verify', '--man=no', file], { cwd: folder })
    assert.deepEqual([verified.code, verified.stderr], [0, ''])
    const args = ['security', '--offline=true', '--threshold=20', '--no-pager', file]
    const { code, stdout } = await runCommand(analyze.path, args, { cwd: folder })
    assert.equal(code, 0, stdout)
  })

  test('its commands start the gateway, wait until it serves, reload it, and end it', async () => {
    await using service = await openService(folder)
    const [started] = service.spawned('ExecStart')
    assert.deepEqual(await within('what waits for the start', started.post), { code: 0, stdout: 'live\n', stderr: '' })
    assert.ok(started.lines.some((line) => line.includes('"msg":"listening"')))

    await service.write('drain: 20s')
    assert.equal((await service.run('ExecReload', started.child)).code, 0)
    await started.logged('"msg":"configuration reloaded"')

    await service.write('dran: 20s')
    const refused = await service.run('ExecReload', started.child)
    assert.equal(refused.code, 78)
    assert.match(refused.stderr, /unknown key "dran"/)
    assert.deepEqual(valuesOf('RestartPreventExitStatus'), ['78'])

    started.child.kill('SIGTERM')
    assert.deepEqual(await within('the end', once(started.child, 'exit')), [0, null])
  })

  test('it has longer to end than the gateway takes by default', () => {
    assert.ok(Number.parseInt(valuesOf('TimeoutStopSec')[0] ?? '', 10) > 20)
  })
})

interface Started {
  readonly child: ChildProcess
  readonly lines: readonly string[]
  /** ExecStartPost, begun at once as systemd does. */
  readonly post: Promise<CommandResult>
  logged(text: string): Promise<void>
}

/** What systemd does with the unit, as far as its commands go: their paths are where things are here. */
async function openService(root: string) {
  const folder = join(root, 'state')
  await mkdir(folder, { recursive: true })
  const config = join(folder, 'sessiongate.yaml')
  const operatorPort = await freePort()
  const children: ChildProcess[] = []
  const write = (shutdown: string): Promise<void> => writeFile(config, configOf(operatorPort, shutdown))
  const words = (command: string): string[] =>
    command.split(' ').flatMap((word) => {
      if (word === '/usr/local/bin/sessiongate') return [process.execPath, join(checkout, 'bin/sessiongate.mjs')]
      return [word === '/etc/sessiongate/sessiongate.yaml' ? config : word]
    })
  const options = { cwd: folder, env: plainEnvironment() }
  /** One after the other, up to the first that fails. */
  const run = async (setting: string, main: ChildProcess): Promise<CommandResult> => {
    let result: CommandResult = { code: 0, stdout: '', stderr: '' }
    for (const command of valuesOf(setting)) {
      const [program = '', ...args] = words(command.replace('$MAINPID', String(main.pid)))
      result = await runCommand(program, args, options)
      if (result.code !== 0) break
    }
    return result
  }
  await write('drain: 5s')
  return {
    write,
    run,
    spawned(setting: string): [Started] {
      const [program = '', ...args] = words(valuesOf(setting)[0] ?? '')
      const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'ignore'] })
      children.push(child)
      const lines: string[] = []
      const output = createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
      const logged = async (text: string): Promise<void> => {
        while (!lines.some((line) => line.includes(text))) await within(text, once(output, 'line'))
      }
      return [{ child, lines, logged, post: run('ExecStartPost', child) }]
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    },
  }
}

function configOf(operatorPort: number, shutdown: string): string {
  return `
version: 1
listen: [{ address: "127.0.0.1:0" }]
hosts: [127.0.0.1]
admin: { listen: "127.0.0.1:${operatorPort}" }
shutdown: { ${shutdown} }
upstreams: { app: { servers: ["http://127.0.0.1:9"] } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`
}
