import { findFreePort } from '../../../test/support/postgres.ts'
import { requireServer } from '../../../test/support/requirement.ts'
import { startNginx } from '../nginx.ts'
import type { Peer, PeerSite, RunningPeer } from '../peer.ts'
import { versionOf } from '../program.ts'

/** Paths of PEM files. */
interface Tls {
  readonly serverCert: string
  readonly serverKey: string
}

/** The measure of all others. */
export const nginx: Peer = {
  name: 'nginx',
  work: 'proxy',
  does: 'proxy only, with an access log',
  lack,
  start: (site) => start(site),
}

/** The same behind https. */
export function nginxWithTls(tls: Tls): Peer {
  return { ...nginx, name: 'nginx with TLS', start: (site) => start(site, tls) }
}

async function lack(): Promise<string | undefined> {
  const { skip } = requireServer('nginx')
  return skip === false ? undefined : skip
}

/** Its defaults, but that bodies wait in memory and not in files. */
async function start({ folder, appOrigin }: PeerSite, tls?: Tls): Promise<RunningPeer> {
  const port = await findFreePort()
  const certificate = tls && `ssl_certificate ${tls.serverCert}; ssl_certificate_key ${tls.serverKey};`
  const http = `
  access_log ${folder}/access.log;
  client_max_body_size 0;
  client_body_buffer_size 2m;
  proxy_max_temp_file_size 0;
  upstream app { server ${new URL(appOrigin).host}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096${tls ? ' ssl' : ''};
    ${certificate ?? ''}
    location / {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_pass http://app;
    }
  }`
  const program = await startNginx({ folder, name: 'nginx', port, http })
  return {
    origin: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    pid: program.pid,
    version: await versionOf(requireServer('nginx').path, '-v'),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}
