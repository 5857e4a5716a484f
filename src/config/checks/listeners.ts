import type { ListenAddress } from '../../lib/listening.ts'
import { collide, isLocalAddress, parseListenAddress } from '../listen-address.ts'
import type { Path } from '../path.ts'
import type { FileConfig } from '../schema/file.ts'
import type { CheckContext } from './context.ts'

interface Listener {
  readonly path: Path
  readonly text: string
}

/** Addresses that cannot be opened, two listeners on one address, and an operator's listener that strangers can reach. */
export function checkListeners(context: CheckContext): void {
  checkProxyProtocol(context)
  checkSchemes(context)
  const taken: ListenAddress[] = []
  for (const { path, text } of listenersOf(context.file)) {
    if (context.isUnsure(path)) continue
    const address = parseListenAddress(text, '/')
    if (address === undefined) {
      context.error(path, {
        message: `${context.quote(path, text)} is not an address to listen on`,
        hint: 'write host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080, with a port up to 65535, or unix:/path',
      })
      continue
    }
    if (taken.some((other) => collide(other, address))) {
      context.error(path, {
        message: `${context.quote(path, text)} is taken by another listener of this file`,
        hint: 'give each listener its own port',
      })
    }
    taken.push(address)
    if (path[0] === 'admin' && !isLocalAddress(address)) {
      context.warn(path, {
        message: `the operator’s listener on ${context.quote(path, text)} can be reached from other machines`,
        hint: 'use 127.0.0.1, and probes for health checks from outside',
      })
    }
  }
}

/** Who may speak the PROXY protocol names the address of every visitor, so it must be said who that is. */
function checkProxyProtocol(context: CheckContext): void {
  const { listen, trusted_proxies: trusted } = context.file
  for (const [at, { address: text, proxy_protocol: isOn }] of listen.entries()) {
    const address = parseListenAddress(text, '/')
    if (!isOn || address === undefined || context.isUnsure(['listen', at]) || context.isUnsure(['trusted_proxies']))
      continue
    if (trusted.some((entry) => (entry === 'unix') === (address.kind === 'unix'))) continue
    context.error(['listen', at, 'proxy_protocol'], {
      message: 'proxy_protocol takes connections from trusted_proxies only, and none of them can come to this address',
      hint: `name your proxy: trusted_proxies: [${address.kind === 'unix' ? 'unix' : '10.0.0.5'}]`,
    })
  }
}

/** A listener that only sends browsers on has nothing to encrypt, one that serves has to be there, and what asks for nothing is no choice. */
function checkSchemes(context: CheckContext): void {
  const { listen } = context.file
  for (const [at, { tls, redirect_to_https: redirect }] of listen.entries()) {
    const path = ['listen', at, 'redirect_to_https']
    if (redirect !== false && tls !== undefined) {
      context.error(path, {
        message: 'this listener speaks https already, and would send browsers round in a circle',
        hint: 'write redirect_to_https on a listener without tls',
        atKey: true,
      })
    }
    const place = ['listen', at, 'tls']
    if (tls?.client_cert === 'optional' && tls.client_ca === undefined && !context.isUnsure([...place, 'client_ca'])) {
      context.error([...place, 'client_cert'], {
        message: 'client_cert: optional without client_ca: no certificate would be taken',
        hint: 'name the authorities under client_ca',
      })
    }
  }
  if (context.isUnsure(['listen'])) return
  warnOfCircle(context)
  if (listen.some(({ redirect_to_https: redirect }) => redirect === false)) return
  context.error(['listen', 0, 'redirect_to_https'], {
    message: 'every listener only sends browsers to https, and none serves them',
    hint: 'add one with tls, or one for the proxy that ends TLS',
    atKey: true,
  })
}

/** Where no listener speaks TLS a proxy ends it, and by the PROXY protocol that one reaches only the listener that redirects. */
function warnOfCircle(context: CheckContext): void {
  const { listen } = context.file
  const at = listen.findIndex((one) => one.redirect_to_https !== false && one.proxy_protocol)
  const serving = listen.filter((one) => one.redirect_to_https === false)
  if (at === -1 || serving.length === 0 || serving.some((one) => one.tls !== undefined || one.proxy_protocol)) return
  context.warn(['listen', at, 'redirect_to_https'], {
    message:
      'a proxy that ends TLS and speaks the PROXY protocol finds no listener but this one, which sends browsers to https',
    hint: 'let it send what came by https to a listener that serves, with proxy_protocol: true',
    atKey: true,
  })
}

function listenersOf({ listen, admin, probes }: FileConfig): Listener[] {
  const listeners: Listener[] = listen.map(({ address }, at) => ({ path: ['listen', at, 'address'], text: address }))
  if (admin !== 'off' && admin.listen !== 'off') listeners.push({ path: ['admin', 'listen'], text: admin.listen })
  if (probes !== undefined) listeners.push({ path: ['probes', 'listen'], text: probes.listen })
  return listeners
}
