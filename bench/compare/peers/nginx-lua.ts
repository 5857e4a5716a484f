import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findFreePort } from '../../../test/support/postgres.ts'
import { requireServer } from '../../../test/support/requirement.ts'
import { startNginx } from '../nginx.ts'
import { cookieOf, type Peer } from '../peer.ts'
import { checkout } from '../program.ts'

/** Where nginx's modules lie, and where Lua's: what the distribution has, what luarocks has, and a folder of our own. */
const modules = '/usr/lib/nginx/modules'
const luaFolders = ['/usr/share/lua/5.1', '/usr/local/share/lua/5.1', join(checkout, 'bench/var/lua')]
const needed = ['resty/core.lua', 'resty/session.lua', 'resty/openssl.lua', 'resty/redis.lua']

function pathOf(file: string): string | undefined {
  return luaFolders.map((folder) => join(folder, file)).find(existsSync)
}

/** lua-resty-session as its page shows it; a session is read for each request, and not renewed while it is young. */
function httpOf({ folder, port, redisPort, appOrigin }: Facts): string {
  return `
  access_log ${folder}/access.log;
  lua_package_path "${luaFolders.map((path) => `${path}/?.lua;${path}/?/init.lua`).join(';')};;";
  init_by_lua_block {
    require "resty.session".init({
      secret = "0123456789abcdef0123456789abcdef",
      storage = "redis",
      cookie_secure = false,
      redis = { host = "127.0.0.1", port = ${redisPort}, prefix = "lua", pool_size = 64 },
    })
  }
  upstream app { server ${new URL(appOrigin).host}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /login {
      content_by_lua_block {
        local session = require "resty.session".new()
        session:set_subject("Ada Lovelace")
        session:set("lang", "en")
        assert(session:save())
        ngx.say("ok")
      }
    }
    location / {
      access_by_lua_block {
        local session, _, exists = require "resty.session".start()
        if not exists then return ngx.exit(401) end
        ngx.req.set_header("X-User-Name", session:get_subject())
      }
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_pass http://app;
    }
  }`
}

interface Facts {
  readonly folder: string
  readonly port: number
  readonly redisPort: number
  readonly appOrigin: string
}

export const nginxLua: Peer = {
  name: 'lua-resty-session',
  work: 'session',
  does: 'in nginx: session from Redis for each request, user required, name up in a header, access log; no signature',
  async lack() {
    const { skip } = requireServer('nginx')
    if (skip !== false) return skip
    if (!existsSync(join(modules, 'ngx_http_lua_module.so'))) return 'nginx has no module for Lua'
    if (globSync('/usr/{lib,local/lib}/{,*/}lua/5.1/cjson.so').length === 0) return 'lua-cjson is not installed'
    const missing = needed.find((file) => pathOf(file) === undefined)
    return missing === undefined ? undefined : `${missing} is not installed`
  },
  async start({ folder, appOrigin, redisPort }) {
    const port = await findFreePort()
    const main = ['ndk_http_module', 'ngx_http_lua_module'].map((name) => `load_module ${modules}/${name}.so;`)
    const http = httpOf({ folder, port, redisPort: await redisPort(), appOrigin })
    const program = await startNginx({ folder, name: 'nginx-lua', port, http, main: main.join('\n') })
    const origin = `http://127.0.0.1:${port}`
    return {
      origin,
      pid: program.pid,
      version: /_VERSION = "([0-9.]+)"/.exec(readFileSync(pathOf('resty/session.lua') ?? '', 'utf8'))?.[1] ?? 'unknown',
      logIn: async () => cookieOf(await fetch(`${origin}/login`, { method: 'POST' })),
      [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
    }
  },
}
