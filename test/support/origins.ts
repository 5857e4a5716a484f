import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startNginx } from '../../bench/compare/nginx.ts'
import { startProgram } from '../../bench/compare/program.ts'
import { findFreePort } from './postgres.ts'
import { requireServer, type ServerName } from './requirement.ts'

/** A server in front of an app, which it hands every request on to. */
export interface Origin extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly origin: string
}

/** Opens one in a folder of its own, before the app on that port. */
type Open = (at: {
  readonly folder: string
  readonly port: number
  readonly appPort: number
}) => Promise<AsyncDisposable>

const opens: Readonly<Record<'apache' | 'haproxy' | 'nginx', Open>> = {
  nginx: ({ folder, port, appPort }) =>
    startNginx({
      folder,
      name: 'nginx',
      port,
      http: `
  access_log off;
  client_max_body_size 0;
  underscores_in_headers on;
  ignore_invalid_headers off;
  upstream app { server 127.0.0.1:${appPort}; keepalive 32; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_next_upstream off;
      proxy_pass http://app;
    }
  }`,
    }),
  async haproxy({ folder, port, appPort }) {
    const file = join(folder, 'haproxy.cfg')
    await writeFile(
      file,
      `
global
  nbthread 1
defaults
  mode http
  http-reuse always
  retries 0
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:${port}
  default_backend app
backend app
  server app 127.0.0.1:${appPort}
`,
    )
    const program = startProgram(requireServer('haproxy').path, ['-db', '-f', file], { folder, name: 'haproxy' })
    await program.untilListening(port)
    return program
  },
  async apache({ folder, port, appPort }) {
    const modules = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules', '/usr/libexec/apache2'].find(existsSync)
    const names = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'unixd', 'log_config']
    const present = names.filter((name) => existsSync(`${modules}/mod_${name}.so`))
    const file = join(folder, 'httpd.conf')
    await mkdir(join(folder, 'run'))
    await writeFile(
      file,
      `
ServerRoot ${folder}
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
DefaultRuntimeDir ${folder}/run
PidFile ${folder}/httpd.pid
ErrorLog ${folder}/httpd.errors
LogLevel crit
${present.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`).join('\n')}
Mutex default:${folder}/run
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LimitRequestFields 0
AllowEncodedSlashes NoDecode
ProxyPass / http://127.0.0.1:${appPort}/ nocanon
`,
    )
    const program = startProgram(requireServer('apache').path, ['-D', 'FOREGROUND', '-f', file], {
      folder,
      name: 'httpd',
    })
    await program.untilListening(port)
    return program
  },
}

/** The servers that may stand between the gateway and an app. */
export const originNames = Object.keys(opens) as readonly (keyof typeof opens & ServerName)[]

/** Starts a server before the app on that port; it is in front of nothing else. */
export async function startOrigin(name: keyof typeof opens, appPort: number): Promise<Origin> {
  const folder = await mkdtemp(join(tmpdir(), `sessiongate-${name}-`))
  const port = await findFreePort()
  const program = await opens[name]({ folder, port, appPort })
  return {
    origin: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
