import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { cleanEnvironment, findOldNode, runCommand } from '../support/command.ts'
import { within } from '../support/deadline.ts'

const checkout = resolve(import.meta.dirname, '../..')

/** The part of the command that is plain JavaScript and has no types of its own. */
interface NodeVersionModule {
  readonly oldestNode: number
  explainOldNode(version: string): string | undefined
}

const { oldestNode, explainOldNode }: NodeVersionModule = await import(join(checkout, 'bin/node-version.mjs'))
const oldNode = findOldNode(oldestNode)
const oldNodeSkip = oldNode === undefined ? `no Node below ${oldestNode} is on this machine` : false

const config = `
version: 1
listen: [{ address: "127.0.0.1:0" }]
hosts: [127.0.0.1]
admin: { listen: "127.0.0.1:0", token: the-token-of-this-package-0123 }
upstreams: { app: { servers: ["http://127.0.0.1:9"] } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`

describe('the published package', () => {
  let folder: string
  let names: string[]
  let manifest: { optionalDependencies?: unknown; dependencies: object }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-package-'))
    const packed = await runCommand('npm', ['pack', '--json', '--pack-destination', folder], { cwd: checkout })
    assert.equal(packed.code, 0, packed.stderr)
    // What the build prints comes before the JSON.
    const [{ filename, files }] = JSON.parse(packed.stdout.slice(packed.stdout.search(/^\[/m)))
    names = files.map(({ path }: { path: string }) => path)
    await mkdir(join(folder, 'site'))
    const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, filename)]
    const installed = await runCommand('npm', install, { cwd: join(folder, 'site') })
    assert.equal(installed.code, 0, installed.stderr)
    manifest = JSON.parse(await readFile(join(folder, 'site/node_modules/sessiongate/package.json'), 'utf8'))
    await writeFile(join(folder, 'site/gate.yaml'), config)
  })
  after(() => rm(folder, { recursive: true }))

  test('has the command, what was built, and the licence, but no source, no tests and no Node', () => {
    for (const wanted of ['bin/sessiongate.mjs', 'dist/main.js', 'page/built/page.js', 'LICENSE', 'package.json']) {
      assert.ok(names.includes(wanted), wanted)
    }
    const odd = names.filter((name) => /^(src|test|scripts|bench|examples|node_modules)\/|\.ts$|\.tgz$/.test(name))
    assert.deepEqual(odd, [])
    assert.equal(manifest.optionalDependencies, undefined)
    assert.deepEqual(
      Object.keys(manifest.dependencies).filter((name) => name.startsWith('node-')),
      [],
    )
  })

  test('runs from an empty folder by npx', async () => {
    const help = await runCommand('npx', ['--no-install', 'sessiongate', '--help'], { cwd: join(folder, 'site') })
    assert.equal(help.code, 0, help.stderr)
    assert.match(help.stdout, /^Usage: sessiongate/)
  })

  test('serves', async (t) => {
    const child = spawn('npx', ['--no-install', 'sessiongate', 'serve', '--config', 'gate.yaml'], {
      cwd: join(folder, 'site'),
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    // npx stands between, with a shell: the group gets the signal, as from a terminal, and stdout ends with the last of it.
    const signal = (name: NodeJS.Signals) => process.kill(-Number(child.pid), name)
    const ended = once(child.stdout, 'close')
    t.after(() => child.stdout.closed || signal('SIGKILL'))
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const { msg, address } = JSON.parse((await within('the first line', lines.next(), 20_000)).value ?? '')
    const operator = JSON.parse((await within('the second line', lines.next())).value ?? '')
    assert.equal(msg, 'listening')
    assert.equal((await fetch(`http://${address}/`)).status, 401)
    const page = await fetch(`http://${operator.address}/page/page.js`)
    assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/javascript; charset=utf-8'])
    signal('SIGTERM')
    await within('the gateway to end', ended)
    await assert.rejects(fetch(`http://${address}/`))
  })

  test('on an older Node prints one line and exits 1', { skip: oldNodeSkip }, async () => {
    const command = join(folder, 'site/node_modules/sessiongate/bin/sessiongate.mjs')
    const result = await runCommand(oldNode ?? '', [command, 'serve'], { cwd: folder })
    assert.deepEqual([result.code, result.stdout], [1, ''])
    assert.match(result.stderr, /^sessiongate needs Node 24 or newer, and this is Node \d+\.\d+\.\d+\n$/)
  })
})

describe('the launcher of the npm scripts', () => {
  let folder: string
  let script: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-launch-'))
    script = join(folder, 'tell.ts')
    await writeFile(
      script,
      'const version: string = process.versions.node\nconsole.log(version, ...process.argv.slice(2))\n',
    )
    for (const file of ['scripts/launch.mjs', 'bin/node-version.mjs']) {
      await cp(join(checkout, file), join(folder, 'elsewhere', file), { recursive: true })
    }
  })
  after(() => rm(folder, { recursive: true }))

  test('runs a script with its arguments', async () => {
    const result = await runCommand(process.execPath, [join(checkout, 'scripts/launch.mjs'), script, 'a', '--b'], {
      cwd: folder,
    })
    assert.deepEqual(result, { code: 0, stdout: `${process.versions.node} a --b\n`, stderr: '' })
  })

  test('started by an older Node, takes the one of the checkout', { skip: oldNodeSkip }, async () => {
    const result = await runCommand(oldNode ?? '', [join(checkout, 'scripts/launch.mjs'), script, 'a'], { cwd: folder })
    assert.equal(result.code, 0, result.stderr)
    const major = Number(result.stdout.split('.')[0])
    assert.ok(major >= oldestNode, result.stdout)
  })

  test('started by an older Node where the checkout has none, prints one line and exits 1', {
    skip: oldNodeSkip,
  }, async () => {
    const result = await runCommand(oldNode ?? '', [join(folder, 'elsewhere/scripts/launch.mjs'), script], {
      cwd: folder,
    })
    assert.deepEqual([result.code, result.stdout], [1, ''])
    assert.match(result.stderr, /^sessiongate needs Node 24 or newer, and this is Node [^\n]+\n$/)
  })

  test("hands on a script's exit code", async () => {
    const failing = join(folder, 'fail.ts')
    await writeFile(failing, 'process.exitCode = 7\n')
    const result = await runCommand(process.execPath, [join(checkout, 'scripts/launch.mjs'), failing], { cwd: folder })
    assert.equal(result.code, 7)
  })
})

test('what is said of old Nodes agrees with engines in package.json', async () => {
  const { engines } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'))
  assert.equal(engines.node, `>=${oldestNode}`)
  assert.equal(explainOldNode(`${oldestNode}.0.0`), undefined)
  assert.match(explainOldNode(`${oldestNode - 1}.99.0`) ?? '', /needs Node 24/)
})
