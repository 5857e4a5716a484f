import { spawn } from 'node:child_process'
import { hkdfSync } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { type Issued, openAuthority } from '../support/certificates.ts'
import { within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { findFreePort } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { type ServerProgram, startServerProgram } from '../support/server-program.ts'
import { type FrontDoor, SHOP_HOST } from './chain-browser.ts'

const checkout = resolve(import.meta.dirname, '../..')
const SECRET = '0123456789abcdef0123456789abcdef'
const SECRET_KEY = 'a secret key that Django and the gateway share'

export const chainPrograms = {
  nginx: requireServer('nginx'),
  haproxy: requireServer('haproxy'),
  php: requireServer('php-fpm'),
  django: requireServer('django'),
} as const

/** Why the chain cannot be built here; false when it can. */
export const chainSkip: string | false = Object.values(chainPrograms).find(({ skip }) => skip !== false)?.skip ?? false

/** Browsers come in by one of five doors; behind the gateway are Django and PHP, both behind an nginx. */
export interface ChainStage extends AsyncDisposable {
  readonly doors: Readonly<Record<string, FrontDoor>>
  readonly gateway: TestGateway
  /** The SQLite file in which Django and the gateway keep sessions. */
  readonly database: string
}

export async function openChainStage(): Promise<ChainStage> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-chain-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'receipts'))
  const authority = await openAuthority(folder)
  const pair = await authority.issue({ hosts: [SHOP_HOST] })
  const apps = await startApps(folder, stack)
  const places = {
    socket: join(folder, 'gateway.sock'),
    plain: await findFreePort(),
    proxied: await findFreePort(),
  }
  const gateway = stack.use(await startGateway({ config: gatewayConfig(folder, places, apps) }))
  const doors = await startFronts({ folder, pair, ca: authority.cert, places }, stack)
  const closing = stack.move()
  return {
    doors,
    gateway,
    database: join(folder, 'db.sqlite3'),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

interface Apps {
  /** Origins of the nginx in front of each. */
  readonly php: string
  readonly django: string
}

/** PHP-FPM and Django, and one nginx in front of both, as operators have them. */
async function startApps(folder: string, stack: AsyncDisposableStack): Promise<Apps> {
  const fpmSocket = join(folder, 'php.sock')
  const [djangoOrigin] = await Promise.all([startDjango(folder, stack), startFpm(folder, fpmSocket, stack)])
  const [phpPort, djangoPort] = [await findFreePort(), await findFreePort()]
  // The example's own file, but for where things are on this machine, and with an eye for the test.
  const shop = replaced(readFileSync(join(checkout, 'examples/php-app/nginx.conf'), 'utf8'), {
    '127.0.0.1:8001': `127.0.0.1:${phpPort}`,
    '/srv/shop/examples': join(checkout, 'examples'),
    'unix:/run/php/php-fpm.sock': `unix:${fpmSocket}`,
    '/srv/shop/receipts/': `${join(folder, 'receipts')}/`,
    'include fastcgi_params': 'include /etc/nginx/fastcgi_params',
    '  location ~ \\.php$ {': `  location = /eye.php {
    include /etc/nginx/fastcgi_params;
    fastcgi_param SCRIPT_FILENAME ${join(import.meta.dirname, 'chain_eye.php')};
    fastcgi_pass unix:${fpmSocket};
  }

  location ~ \\.php$ {`,
  })
  const http = `${shop}
server {
  listen 127.0.0.1:${djangoPort};
  client_max_body_size 10m;
  location / { proxy_pass ${djangoOrigin}; proxy_set_header Host $http_host; }
  location /receipts/ { internal; alias ${join(folder, 'receipts')}/; }
}`
  await startNginx({ folder, name: 'back', http, listensOn: [phpPort, djangoPort] }, stack)
  return { php: `http://127.0.0.1:${phpPort}`, django: `http://127.0.0.1:${djangoPort}` }
}

async function startFpm(folder: string, socket: string, stack: AsyncDisposableStack): Promise<void> {
  const isRoot = process.getuid?.() === 0
  const file = join(folder, 'fpm.conf')
  await writeFile(
    file,
    `[global]
daemonize = no
error_log = ${join(folder, 'fpm.errors')}
[shop]
${isRoot ? 'user = root\ngroup = root' : ''}
listen = ${socket}
pm = static
pm.max_children = 2
catch_workers_output = yes
env[SHOP] = ${join(checkout, 'examples/php-app')}
env[RECEIPTS] = ${join(folder, 'receipts')}
env[SESSIONGATE_KEY_ID] = chain
env[SESSIONGATE_KEY] = ${derivedKey('php')}
php_admin_value[upload_max_filesize] = 16M
php_admin_value[post_max_size] = 16M
php_admin_value[upload_tmp_dir] = ${folder}
`,
  )
  const args = ['-y', file, '-n', '-p', folder, ...(isRoot ? ['-R'] : [])]
  stack.use(await startServerProgram(chainPrograms.php.path, args, { cwd: folder, listensOn: [socket] }))
}

async function startDjango(folder: string, stack: AsyncDisposableStack): Promise<string> {
  const keys = JSON.stringify({ django: derivedKey('django'), headers: derivedKey('headers') })
  const script = join(import.meta.dirname, 'chain_django.py')
  const child = spawn(chainPrograms.django.path, [script, folder, join(checkout, 'examples/verify'), keys], {
    env: { PATH: process.env.PATH, SECRET_KEY, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  stack.defer(async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  const [origin] = await within('Django to listen', once(createInterface({ input: child.stdout }), 'line'), 60_000)
  return String(origin)
}

/** What `sessiongate keys derive` prints. */
function derivedKey(upstream: string): string {
  const key = hkdfSync('sha256', SECRET, '', `sessiongate/assertion/${upstream}`, 32)
  return Buffer.from(key).toString('base64url')
}

interface Places {
  readonly socket: string
  readonly plain: number
  readonly proxied: number
}

function gatewayConfig(folder: string, { socket, plain, proxied }: Places, apps: Apps): string {
  const own = 'headers: { session: { X-User-Name: userInfo.name } }, limits: { body: 10MiB }'
  return `
listen:
  - { address: "unix:${socket}" }
  - { address: "127.0.0.1:${plain}" }
  - { address: "127.0.0.1:${proxied}", proxy_protocol: true }
hosts: [${SHOP_HOST}]
trusted_proxies: [unix, 127.0.0.1/32]
session: { engine: db, secret_key: "${SECRET_KEY}" }
database: { url: "sqlite:${join(folder, 'db.sqlite3')}" }
keys: [{ id: chain, secret: "${SECRET}" }]
login: { url: /login.php }
upstreams:
  php: { servers: ["${apps.php}"], writeback: { allow: [userInfo, cart], commands: [flush] } }
  django: { servers: ["${apps.django}"], session_cookie: pass }
  headers: { servers: ["${apps.django}"], writeback: { allow: [userInfo, cart], commands: [flush] } }
routes:
  - { id: php-login, match: { path: /login.php }, upstream: php, auth: public, csrf: same-site }
  - { id: php-logout, match: { path: /logout.php, method: POST }, upstream: php, auth: public, csrf: same-site }
  - { id: php-eye, match: { path: /eye.php }, upstream: php, auth: optional, ${own} }
  - { id: django-login, match: { path: /django/login }, upstream: django, auth: public }
  - { id: django-eye, match: { path: /django/seen }, upstream: django, auth: optional, ${own} }
  - { id: django, match: { path: /django/* }, upstream: django, auth: required, login: { url: /django/login }, ${own} }
  - { id: headers-login, match: { path: /headers/login }, upstream: headers, auth: public }
  - { id: headers-eye, match: { path: /headers/seen }, upstream: headers, auth: optional, ${own} }
  - { id: headers, match: { path: /headers/* }, upstream: headers, auth: required, login: { url: /headers/login }, ${own} }
  - { id: php, match: { path: /* }, upstream: php, auth: required, ${own} }
`
}

interface FrontOptions {
  readonly folder: string
  readonly pair: Issued
  readonly ca: string
  readonly places: Places
}

/** The files of the documentation, but for addresses and paths. */
async function startFronts({ folder, pair, ca, places }: FrontOptions, stack: AsyncDisposableStack) {
  const at = (name: string): string => join(folder, name)
  await writeFile(at('shop.crt'), pair.cert)
  await writeFile(at('shop.key'), pair.key)
  await writeFile(at('shop.pem'), pair.cert + pair.key)
  const [nginxSecure, nginxPlain, bytes, bytesSecure, headers] = await Promise.all(
    Array.from({ length: 5 }, () => findFreePort()),
  )
  const secureServer = replaced(documented('nginx'), {
    'listen 443 ssl': `listen 127.0.0.1:${nginxSecure} ssl`,
    'app.example.com': SHOP_HOST,
    '/etc/ssl/app.pem': at('shop.crt'),
    '/etc/ssl/app.key': at('shop.key'),
    '/run/sessiongate/gateway.sock': places.socket,
  })
  const plainServer = replaced(documented('nginx'), {
    'listen 443 ssl': `listen 127.0.0.1:${nginxPlain}`,
    'app.example.com': SHOP_HOST,
    '/etc/ssl/app.pem': at('shop.crt'),
    '/etc/ssl/app.key': at('shop.key'),
    'http://unix:/run/sessiongate/gateway.sock': `http://127.0.0.1:${places.plain}`,
  }).replace(/^map .*\n/m, '')
  const http = `${secureServer}\n${plainServer}`
  await startNginx({ folder, name: 'front', http, listensOn: [nginxSecure ?? 0, nginxPlain ?? 0] }, stack)

  const tunnel = (port: number | undefined, options: string, send: string): string =>
    replaced(documented('haproxy', 'mode tcp'), {
      'listen front': `listen front${port}`,
      'bind :443': `bind 127.0.0.1:${port}${options}`,
      '10.0.0.2:8080': `127.0.0.1:${places.proxied}`,
      'send-proxy-v2': send,
    })
  const config = `defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${tunnel(bytes, '', 'send-proxy-v2')}
${tunnel(bytesSecure, ` ssl crt ${at('shop.pem')}`, 'send-proxy-v2-ssl')}
${replaced(documented('haproxy', 'mode http'), {
  'bind :443': `bind 127.0.0.1:${headers}`,
  '/etc/ssl/app-and-key.pem': at('shop.pem'),
  '10.0.0.2:8080': `127.0.0.1:${places.plain}`,
})}`
  await writeFile(at('haproxy.cfg'), config)
  const listensOn = [bytes ?? 0, bytesSecure ?? 0, headers ?? 0]
  stack.use(
    await startServerProgram(chainPrograms.haproxy.path, ['-db', '-f', at('haproxy.cfg')], { cwd: folder, listensOn }),
  )
  const door = (scheme: FrontDoor['scheme'], port: number | undefined): FrontDoor => ({ scheme, port: port ?? 0, ca })
  return {
    'nginx ends TLS, X-Forwarded-*': door('https', nginxSecure),
    'nginx, X-Forwarded-*': door('http', nginxPlain),
    'HAProxy, PROXY protocol': door('http', bytes),
    'HAProxy ends TLS, PROXY protocol': door('https', bytesSecure),
    'HAProxy ends TLS, X-Forwarded-*': door('https', headers),
  }
}

/** The block of that language in the page for proxies that holds the mark. */
function documented(language: 'nginx' | 'haproxy', mark = ''): string {
  const page = readFileSync(join(checkout, 'docs/behind-a-proxy.md'), 'utf8')
  const blocks = [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  )
  const found = blocks.find((text) => text.includes(mark))
  if (found === undefined) throw new Error(`the documentation has no ${language} file with ${mark}`)
  return found
}

/** @throws {Error} if something is not there: the file would be used with an address of somebody else's machine. */
function replaced(text: string, replacements: Readonly<Record<string, string>>): string {
  let result = text
  for (const [old, now] of Object.entries(replacements)) {
    if (!result.includes(old)) throw new Error(`there is no ${old} in ${text}`)
    result = result.replaceAll(old, () => now)
  }
  return result
}

interface NginxOptions {
  readonly folder: string
  readonly name: string
  readonly http: string
  readonly listensOn: readonly number[]
}

async function startNginx(options: NginxOptions, stack: AsyncDisposableStack): Promise<ServerProgram> {
  const { folder, name, http, listensOn } = options
  const at = (kind: string): string => join(folder, `${name}-${kind}`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${at(kind)};`)
  await writeFile(
    at('nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${at('pid')};
error_log stderr warn;
events { worker_connections 512; }
http {
access_log off;
${temporary.join('\n')}
${http}
}
`,
  )
  const args = ['-c', at('nginx.conf'), '-p', folder, '-e', 'stderr']
  return stack.use(await startServerProgram(chainPrograms.nginx.path, args, { cwd: folder, listensOn }))
}
