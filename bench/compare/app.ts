import { join } from 'node:path'
import { findFreePort } from '../../test/support/postgres.ts'
import { startNginx, writeBodies } from './nginx.ts'

export interface App extends AsyncDisposable {
  readonly origin: string
}

export const BODY_BYTES = { '16KiB': 16 * 1024, '1MiB': 1024 * 1024 } as const

/** Who the login logs in; what arrives of it at `/echo` proves that a session was in use. */
export const USER_NAME = 'Ada Lovelace'

/** So much of each `/fill/N` is one value under a key of its own. */
export const FILL_BYTES = 3584
/** A token of nginx's configuration has at most 4 KiB. */
const FILLS = 4

/**
 * The app behind everybody: 250 bytes to everything, as fast as can be, so that it leaves the cores to what is measured.
 *
 * | path | answer |
 * |---|---|
 * | `/login` | a session with a user in it, as the gateway's apps write it, and as Apache's do |
 * | `/fill/N` | 3.5 KiB more in the session, under `fillN` |
 * | `/write` | another value in the session every time |
 * | `/echo` | the name of the user that a header has brought |
 * | `/down/16KiB`, `/down/1MiB` | a body of that size |
 * | `/up` | 250 bytes, when the whole body of the request is there |
 */
export async function openApp(folder: string): Promise<App> {
  const port = await findFreePort()
  const bodies = join(folder, 'bodies')
  await writeBodies(bodies, BODY_BYTES)
  const user = JSON.stringify({ userInfo: { id: 7, name: USER_NAME }, lang: 'en', seen: '0'.repeat(32) })
  const fill = (number: number): string =>
    `location = /fill/${number} { add_header X-Session-Set '{"fill${number}":"${'x'.repeat(FILL_BYTES)}"}'; return 200 "ok"; }`
  const program = await startNginx({
    folder,
    name: 'app',
    port,
    http: `
  access_log off;
  sendfile on;
  client_max_body_size 0;
  client_body_buffer_size 2m;
  default_type text/plain;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /login {
      add_header X-Session-Set '${user}';
      add_header X-Apache-Session 'user=${USER_NAME.replace(' ', '+')}&id=7&lang=en';
      return 200 "ok";
    }
    ${Array.from({ length: FILLS }, (_, i) => fill(i + 1)).join('\n    ')}
    location = /write { add_header X-Session-Set '{"seen":"$request_id"}'; return 200 "${'x'.repeat(250)}"; }
    location = /echo { return 200 "user=$http_x_user_name$http_x_forwarded_user"; }
    location /down/ { alias ${bodies}/; }
    # To pass a body on, nginx reads it first; the request that it then makes of itself has none.
    location = /up {
      proxy_http_version 1.1;
      proxy_method GET;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
      proxy_pass http://itself/;
    }
    location / { return 200 "${'x'.repeat(250)}"; }
  }
  upstream itself { server 127.0.0.1:${port}; keepalive 64; keepalive_requests 100000000; }`,
  })
  return { origin: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() }
}
