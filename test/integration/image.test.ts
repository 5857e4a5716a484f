import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, copyFile, link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { cleanEnvironment, runCommand } from '../support/command.ts'
import { eventWithin, within } from '../support/deadline.ts'
import { type Instruction, parseDockerfile, readExecForm, replayCopy, type Stage } from '../support/dockerfile.ts'

const checkout = resolve(import.meta.dirname, '../..')

/** The numbers in USER; only root can become somebody else. */
const isRoot = process.getuid?.() === 0
const stranger = isRoot ? { uid: 1000, gid: 1000 } : {}

/** There is no Docker on most machines that run the tests, so its steps are done by hand, in folders. */
describe('the image, replayed from the Dockerfile', () => {
  let folder: string
  let final: Stage
  let instructions: Instruction[]
  let node: string
  const copied: string[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-image-'))
    await chmod(folder, 0o755)
    instructions = parseDockerfile(await readFile(join(checkout, 'Dockerfile'), 'utf8'))
    const stages = new Map<string, Stage>()
    for (const { name, rest } of instructions) {
      if (name === 'FROM')
        stages.set(/ AS (\w+)$/.exec(rest)?.[1] ?? 'final', { root: join(folder, String(stages.size)), workdir: '/' })
      const stage = [...stages.values()].at(-1)
      assert.ok(stage, 'FROM comes first')
      if (name === 'WORKDIR') stage.workdir = rest
      if (name === 'COPY') copied.push(...(await replayCopy(stage, rest, { context: checkout, stages })))
      if (name === 'RUN' && !stages.has('final')) await replayRun(stage, rest)
    }
    const last = stages.get('final')
    assert.ok(last, 'the last stage has no name')
    final = last
    node = join(folder, 'node')
    await link(process.execPath, node).catch(() => copyFile(process.execPath, node))
    await mkdir(join(final.root, 'data'))
    if (isRoot) await chown(join(final.root, 'data'), 1000, 1000)
  })
  after(() => rm(folder, { recursive: true }))

  async function replayRun(stage: Stage, rest: string): Promise<void> {
    const env = { ...cleanEnvironment(), npm_config_prefer_offline: 'true', npm_config_audit: 'false' }
    const result = await runCommand('sh', ['-c', rest], { cwd: join(stage.root, stage.workdir), env })
    assert.equal(result.code, 0, `${rest}: ${result.stdout}${result.stderr}`)
  }

  function one(name: string): string {
    const [found, ...more] = instructions
      .slice(instructions.findLastIndex((i) => i.name === 'FROM'))
      .filter((i) => i.name === name)
    assert.deepEqual(more, [], `one ${name}`)
    assert.ok(found, name)
    return found.rest
  }

  /** A command of the image with its paths where they are here. */
  function translated(words: readonly string[], config: string): [program: string, args: string[]] {
    assert.equal(words[0], 'node')
    const args = words.slice(1).map((word) => {
      if (word === '/etc/sessiongate/sessiongate.yaml') return config
      return word.startsWith('/') ? join(final.root, word) : word
    })
    return [node, args]
  }

  test('.dockerignore lets in what is copied, and nothing else', async () => {
    const lines = (await readFile(join(checkout, '.dockerignore'), 'utf8'))
      .split('\n')
      .filter((line) => /^[^#]/.test(line))
    assert.equal(lines[0], '*')
    assert.deepEqual(
      lines
        .slice(1)
        .map((line) => line.slice(1))
        .sort(),
      [...new Set(copied)].sort(),
    )
  })

  test('is not root, keeps its data in one folder, and is asked whether it is well', () => {
    assert.equal(one('USER'), '1000:1000')
    assert.equal(one('VOLUME'), '/data')
    assert.equal(final.workdir, '/data')
    assert.match(one('HEALTHCHECK'), /"healthcheck"/)
  })

  test('has what it takes to start, as a stranger who may write nowhere but in /data', async (t) => {
    const config = join(folder, 'gate.yaml')
    await writeFile(config, gateway(await freePort()))
    const data = join(final.root, 'data')
    const options = { cwd: data, env: { PATH: '/usr/bin:/bin', NODE_ENV: 'production' }, ...stranger }
    const [program, args] = translated([...readExecForm(one('ENTRYPOINT')), ...readExecForm(one('CMD'))], config)
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    t.after(() => child.kill('SIGKILL'))
    let errors = ''
    child.stderr.on('data', (text) => {
      errors += text
    })
    const exited = once(child, 'exit')
    const first = eventWithin(createInterface(child.stdout), 'line', 20_000)
    const [line] = await Promise.race([first, exited.then(() => assert.fail(errors))])
    const { msg, address } = JSON.parse(String(line))
    assert.equal(msg, 'listening')
    assert.equal((await fetch(`http://${address}/`)).status, 401)

    const [checker, checkArgs] = translated(readExecForm(one('HEALTHCHECK')), config)
    const health = spawn(checker, checkArgs, { ...options, stdio: 'ignore' })
    assert.deepEqual(await within('the health check', once(health, 'exit')), [0, null])

    child.kill('SIGTERM')
    assert.deepEqual(await within('the gateway to end', exited), [0, null])
    const sick = spawn(checker, checkArgs, { ...options, stdio: 'ignore' })
    assert.deepEqual(await within('the health check', once(sick, 'exit')), [1, null])
  })
})

function gateway(adminPort: number): string {
  return `
version: 1
listen: [{ address: "127.0.0.1:0" }]
hosts: [127.0.0.1]
admin: { listen: "127.0.0.1:${adminPort}" }
upstreams: { app: { servers: ["http://127.0.0.1:9"] } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`
}

/** Free a moment ago: the health check reads the port from the configuration, so it cannot be 0. */
async function freePort(): Promise<number> {
  await using server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
