import assert from 'node:assert/strict'
import { appendFile, mkdtempDisposable, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startApp } from '../support/app.ts'
import { type CommandResult, plainEnvironment, runCommand } from '../support/command.ts'
import { startGateway } from '../support/gateway.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const main = resolve(import.meta.dirname, '../../src/main.ts')
const django = requireServer('django')
const redis = requireServer('redis')
const postgres = requireServer('postgres')
const env = { ...plainEnvironment(), PYTHONDONTWRITEBYTECODE: '1' }
const password = "p@ss/w:rd %'$"

/** A login as a browser has it, by Django's own client: the cookie that Django sends. */
const LOG_IN = `
from django.contrib.auth.models import User
from django.test import Client
user = User.objects.create_user("ada")
client = Client()
client.force_login(user)
print("cookie=" + client.cookies["sessionid"].value)
`

interface Project {
  readonly folder: string
  init(args?: string): Promise<CommandResult>
  manage(...args: string[]): Promise<string>
}

/** What `django-admin startproject` makes, with some lines at the end of its settings. */
async function startProject(folder: string, settings: string): Promise<Project> {
  const run = async (program: string, args: string[], cwd: string): Promise<string> => {
    const { code, stdout, stderr } = await runCommand(program, args, { cwd, env })
    assert.equal(code, 0, stderr)
    return stdout
  }
  await run(join(dirname(django.path), 'django-admin'), ['startproject', 'shop'], folder)
  await appendFile(join(folder, 'shop/shop/settings.py'), `\n${settings}\n`)
  return {
    folder,
    manage: (...args) => run(django.path, ['manage.py', ...args], join(folder, 'shop')),
    init(args = '') {
      const words = ['init', '--from-django', 'shop', '--python', django.path, '--config', 'sessiongate.yaml']
      return runCommand(process.execPath, [main, ...words, ...args.split(' ').filter(Boolean)], { cwd: folder, env })
    },
  }
}

describe('init --from-django', { skip: django.skip || redis.skip || postgres.skip }, () => {
  let redisServer: RedisServer
  let postgresServer: PostgresServer
  before(async () => {
    ;[redisServer, postgresServer] = await Promise.all([startRedis(), startPostgres()])
  })
  after(() => Promise.all([redisServer[Symbol.asyncDispose](), postgresServer[Symbol.asyncDispose]()]))

  const caches = () =>
    `CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache",
      "LOCATION": "redis://${redisServer.host}:${redisServer.port}/1", "KEY_PREFIX": "shop"}}`
  const inPostgres = async () => {
    const { name } = await postgresServer.createDatabase()
    return `DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "${name}", "USER": "postgres",
      "PASSWORD": """${password}""", "HOST": "127.0.0.1", "PORT": ${postgresServer.port}}}`
  }
  const backend = (name: string) => `SESSION_ENGINE = "django.contrib.sessions.backends.${name}"`

  const projects: [what: string, settings: () => string | Promise<string>][] = [
    ['as startproject made it, on SQLite', () => ''],
    ['on PostgreSQL', async () => `${await inPostgres()}\nSESSION_COOKIE_AGE = 3600`],
    ['in Redis', () => `${caches()}\n${backend('cache')}`],
    [
      'in Redis and PostgreSQL',
      async () => `${await inPostgres()}\n${caches()}\n${backend('cached_db')}\nUSE_TZ = False`,
    ],
    ['in signed cookies', () => backend('signed_cookies')],
  ]
  for (const [what, settings] of projects) {
    test(`a session that Django made ${what} is one for the gateway, without a line by hand`, async () => {
      await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
      const project = await startProject(folder.path, await settings())
      await project.manage('migrate', '--verbosity', '0')
      const [, cookie = ''] = /cookie=(\S+)/.exec(await project.manage('shell', '-c', LOG_IN)) ?? []
      await using app = await startApp(() => ({ body: 'hello' }))

      const made = await project.init(`--app ${app.origin} --listen 127.0.0.1:0`)
      assert.equal(made.code, 0, made.stderr)
      assert.match(made.stderr, /^runs the settings shop\.settings in .*\/shop with .*python/)
      const path = join(folder.path, 'sessiongate.yaml')
      const yaml = (await readFile(path, 'utf8')).replace('127.0.0.1:9901', '127.0.0.1:0')
      await writeFile(path, yaml)
      assert.doesNotMatch(yaml, /django-insecure|p@ss|p%40ss/)
      assert.equal((await stat(join(folder.path, 'secrets'))).mode & 0o777, 0o700)
      assert.equal((await stat(join(folder.path, 'secrets/django-secret-key'))).mode & 0o777, 0o600)

      const check = await runCommand(process.execPath, [main, 'check', '--json', '--config', path], {
        cwd: folder.path,
        env,
      })
      const { ok, problems } = JSON.parse(check.stdout) as { ok: boolean; problems: { message: string }[] }
      assert.ok(ok)
      assert.deepEqual(
        problems.map(({ message }) => message).filter((text) => !text.includes('is open to strangers')),
        [],
      )

      await using gateway = await startGateway({ config: yaml, hasConfig: true, folder: folder.path })
      const get = (path: string, cookies = '') => fetch(`${gateway.url}${path}`, { headers: { Cookie: cookies } })
      const stranger = await get('/')
      assert.equal(stranger.status, 401)
      assert.equal(((await stranger.json()) as { login: string }).login, '/admin/login/?next=%2F')
      assert.equal((await get('/admin/login/')).status, 200)
      const known = await get('/', `sessionid=${cookie}`)
      assert.equal(known.status, 200)
      const last = app.requests.at(-1)
      assert.deepEqual(last?.claims().ses, { _auth_user_id: '1' })
      assert.deepEqual(last?.values('X-User-Id'), ['1'])
      assert.deepEqual(last?.values('Cookie'), [`sessionid=${cookie}`])
      const forged = await get('/', `sessionid=${cookie.slice(0, -1)}${cookie.endsWith('a') ? 'b' : 'a'}`)
      assert.equal(forged.status, 401)
    })
  }

  test('what stands in the way is told, and nothing is written', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
    const project = await startProject(
      folder.path,
      `${backend('cache')}\nSESSION_SERIALIZER = "x.Pickle"\nprint("\\x1b[31m")`,
    )
    const cases: [why: string, lines: string, code: number, says: RegExp][] = [
      [
        'a cache of one process',
        '',
        1,
        /cannot be shared:\n {2}CACHES\["default"\] is django\.core\.cache\.backends\.locmem/,
      ],
      ['a serializer', backend('db'), 1, /SESSION_SERIALIZER is x\.Pickle, and the gateway reads JSON/],
      [
        'a mistake',
        'raise ValueError("no SHOP_KEY \\x1b[31m")',
        1,
        /set what they need in the environment.*ValueError: no SHOP_KEY \ufffd\[31m/,
      ],
    ]
    for (const [why, lines, code, says] of cases) {
      await appendFile(join(folder.path, 'shop/shop/settings.py'), `${lines}\n`)
      const made = await project.init()
      assert.equal(made.code, code, why)
      assert.match(made.stderr, says)
      assert.ok(!made.stderr.includes('\u001b'))
      assert.equal(made.stdout, '')
    }
    const without = await runCommand(
      process.execPath,
      [main, 'init', '--from-django', 'shop', '--python', '/usr/bin/python3', '--config', 'x.yaml'],
      { cwd: folder.path, env },
    )
    assert.equal(without.code, 1)
    assert.match(without.stderr, /python3.* has no Django: name the project’s own|cannot be shared|set what they need/)
  })
})

const django32 = requireServer('django32')
test('a project of Django 3.2 is read with its own Python', { skip: django32.skip || django.skip }, async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
  await startProject(folder.path, '')
  const words = ['init', '--from-django', 'shop', '--python', django32.path, '--config', 'sessiongate.yaml']
  const { code, stderr } = await runCommand(process.execPath, [main, ...words], { cwd: folder.path, env })
  assert.equal(code, 0, stderr)
  const yaml = await readFile(join(folder.path, 'sessiongate.yaml'), 'utf8')
  assert.match(yaml, /\(Django 3\.2\.\d+\)[\s\S]*expiry_dates: seconds/)
})
