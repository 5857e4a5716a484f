import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { cleanEnvironment, plainEnvironment, runCommand } from '../support/command.ts'
import { within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { createPageVisitor, type Page, type PageVisitor } from '../support/page-visitor.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { eventually, freePort } from '../support/redis-program.ts'
import { requireServer } from '../support/requirement.ts'

const checkout = resolve(import.meta.dirname, '../..')
const deploy = join(checkout, 'deploy')
const compose = requireServer('docker-compose')
const [django, php, postgres, redis] = [
  requireServer('django'),
  requireServer('php'),
  requireServer('postgres'),
  requireServer('redis'),
]

interface Service {
  readonly build?: string | { readonly context: string; readonly dockerfile: string }
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly networks?: readonly string[]
}

const { services } = parse(await readFile(join(deploy, 'compose.yaml'), 'utf8')) as {
  services: Record<string, Service>
}

test('docker-compose takes the file', { skip: compose.skip }, async () => {
  const args = ['--file', join(deploy, 'compose.yaml'), 'config', '--quiet']
  const { code, stderr } = await runCommand(compose.path, args, { cwd: checkout })
  assert.equal(code, 0, stderr)
})

test('what the services mount and are built from is there', () => {
  for (const { volumes = [], build } of Object.values(services)) {
    const mounted = volumes.map((volume) => volume.split(':')[0] ?? '').filter((source) => source.startsWith('.'))
    const dockerfile = typeof build === 'object' ? [join(build.context, build.dockerfile)] : []
    for (const path of [...mounted, ...dockerfile]) assert.ok(existsSync(resolve(deploy, path)), path)
  }
})

test('apps and stores are on the inner network alone, and only this machine reaches what is published', () => {
  for (const name of ['django', 'php', 'postgres', 'redis']) {
    assert.deepEqual([services[name]?.networks, services[name]?.ports], [['back'], undefined], name)
  }
  for (const port of Object.values(services).flatMap(({ ports = [] }) => ports)) assert.match(port, /^127\.0\.0\.1:/)
})

/** There is no Docker on most machines that run the tests: the same programs, with the same files, without the boxes. */
describe('the services of compose.yaml, without containers', {
  skip: django.skip || php.skip || postgres.skip || redis.skip,
}, () => {
  const stack = new AsyncDisposableStack()
  let folder: string
  let phpUrl: string
  let gateway: TestGateway

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-compose-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const database = stack.use(await startPostgres())
    await database.sql('CREATE ROLE sessiongate LOGIN SUPERUSER')
    await database.sql('CREATE DATABASE sessiongate OWNER sessiongate')
    const cache = stack.use(await startRedis())
    const redisUrl = `redis://127.0.0.1:${cache.port}/1`
    const [djangoPort, phpPort] = [await freePort(), await freePort()]
    phpUrl = `http://127.0.0.1:${phpPort}`
    const config = (await readFile(join(deploy, 'compose/gateway/sessiongate.yaml'), 'utf8'))
      .replaceAll('/run/secrets', folder)
      .replace('postgres:5432', `127.0.0.1:${database.port}`)
      .replace('redis://redis:6379/1', redisUrl)
      .replace('http://django:8000', `http://127.0.0.1:${djangoPort}`)
      .replace('http://php:8000', phpUrl)
      .replace('0.0.0.0:8080', '127.0.0.1:0')
      .replace('0.0.0.0:9902', '127.0.0.1:0')
    await writeFile(join(folder, 'sessiongate.yaml'), config)
    await makeSecrets(folder)
    await startDjango({
      port: djangoPort,
      env: { SECRETS: folder, POSTGRES_HOST: '127.0.0.1', POSTGRES_PORT: String(database.port), REDIS_URL: redisUrl },
      stack,
    })
    await startPhp(folder, phpPort, stack)
    gateway = stack.use(await startGateway({ config: '', hasConfig: true, folder }))
  })
  after(() => stack.disposeAsync())

  test('one login: Django lets in, PHP knows who it is, and both see what PHP has counted', async () => {
    const visitor = await createPageVisitor(gateway.url)
    const refused = await visitor.open('/php/')
    assert.deepEqual([refused.status, refused.location], [302, '/login/?next=%2Fphp%2F'])
    await logIn(visitor, 'Zoë')
    assert.match((await visitor.open('/')).html, /Hello, Zoë/)
    assert.match((await visitor.open('/php/')).html, /hello to Zoë, for the 1\. time/)
    assert.match((await visitor.open('/php/')).html, /hello to Zoë, for the 2\. time/)
    const home = await visitor.open('/')
    assert.match(home.html, /data-key="visits">2</)
    const out = await visitor.submit('/logout/', { csrfmiddlewaretoken: tokenIn(home) })
    assert.equal(out.status, 302)
    assert.equal((await visitor.open('/php/')).status, 302)
  })

  test('whoever goes around the gateway gets nothing of PHP', async () => {
    assert.equal((await fetch(`${phpUrl}/php/`)).status, 403)
  })

  test('a second start makes no new secrets', async () => {
    const before = await secretsIn(folder)
    await makeSecrets(folder)
    assert.deepEqual(await secretsIn(folder), before)
  })
})

async function secretsIn(folder: string): Promise<string[]> {
  const names = ['secret_key', 'signing_key', 'postgres_password', 'php/key']
  return await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
}

/** `setup.sh`, with its paths where they are here. */
async function makeSecrets(folder: string): Promise<void> {
  await mkdir(join(folder, 'php'), { recursive: true })
  const script = (await readFile(join(deploy, 'compose/setup.sh'), 'utf8'))
    .replace('/app/bin/sessiongate.mjs', join(checkout, 'bin/sessiongate.mjs'))
    .replace('/etc/sessiongate/sessiongate.yaml', join(folder, 'sessiongate.yaml'))
    .replaceAll('/run/secrets', folder)
    .replaceAll('/run/php', join(folder, 'php'))
  const env = { ...plainEnvironment(), PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }
  const { code, stderr } = await runCommand('/bin/sh', ['-c', script], { cwd: folder, env })
  assert.equal(code, 0, stderr)
}

interface DjangoStart {
  readonly port: number
  readonly env: Readonly<Record<string, string>>
  readonly stack: AsyncDisposableStack
}

/** The command of its Dockerfile. */
async function startDjango({ port, env, stack }: DjangoStart): Promise<void> {
  const project = join(checkout, 'examples/django-app')
  const options = {
    cwd: project,
    env: {
      ...cleanEnvironment(),
      ...env,
      DJANGO_SETTINGS_MODULE: 'compose_settings',
      PYTHONPATH: join(deploy, 'compose/django'),
      PYTHONDONTWRITEBYTECODE: '1',
    },
  }
  const { code, stderr } = await runCommand(django.path, ['manage.py', 'migrate'], options)
  assert.equal(code, 0, stderr)
  const args = ['-u', 'manage.py', 'runserver', '--noreload', `127.0.0.1:${port}`]
  const child = spawn(django.path, args, { ...options, stdio: ['ignore', 'pipe', 'ignore'] })
  stack.defer(async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  const { promise, resolve: found } = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on('line', (line) => line.includes('development server at') && found())
  await within('Django to listen', promise, 60_000)
}

/** The command of the service. */
async function startPhp(folder: string, port: number, stack: AsyncDisposableStack): Promise<void> {
  await copyFile(join(deploy, 'compose/php/index.php'), join(folder, 'index.php'))
  await copyFile(join(checkout, 'examples/verify/verify.php'), join(folder, 'verify.php'))
  const child = spawn(php.path, ['-S', `127.0.0.1:${port}`, join(folder, 'index.php')], {
    cwd: folder,
    env: { ...cleanEnvironment(), SESSIONGATE_KEY_FILE: join(folder, 'php/key') },
    stdio: 'ignore',
  })
  stack.defer(async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  await eventually('PHP', () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    ),
  )
}

async function logIn(visitor: PageVisitor, name: string): Promise<void> {
  const csrfmiddlewaretoken = tokenIn(await visitor.open('/login/'))
  assert.equal((await visitor.submit('/login/', { csrfmiddlewaretoken, name, password: 'any' })).status, 302)
}

function tokenIn({ html }: Page): string {
  return /name="csrfmiddlewaretoken" value="(\w+)"/.exec(html)?.[1] ?? assert.fail(html)
}
