import { GatewayError } from '../errors.ts'
import { readFraming } from '../http/framing.ts'
import { type Answer, localAnswer } from './answer.ts'
import type { Place, Visit } from './visit.ts'

export interface HttpsRedirectParts {
  readonly readPlace: (visit: Visit) => Place
  /** @throws {GatewayError} `ERR_HOST_UNKNOWN` for a host that is not served: it is not sent anywhere either. */
  readonly requireHost: (host: string) => void
  /** Where browsers find the same by https. */
  readonly port: number
}

/**
 * For a listener that only sends browsers on: the same host, path and query by https. 308 (RFC 9110, section 15.4.9), so
 * that a form stays a form; `no-store`, since a browser that remembered a wrong port could not be told better.
 *
 * Who came by https already, as a proxy tells that has ended TLS, would come back the same way for ever: the proxy sends
 * here what it should send to a listener that serves.
 *
 * @throws {GatewayError} `ERR_REDIRECT_LOOP`, and as the first steps of any request do.
 */
export function createHttpsRedirect({ readPlace, requireHost, port }: HttpsRedirectParts) {
  const portText = port === 443 ? '' : `:${port}`
  return async function redirect(visit: Visit): Promise<Answer> {
    readFraming(visit.method, visit.httpVersion, visit.raw)
    const { host, target, isSecure } = readPlace(visit)
    requireHost(host.name)
    if (isSecure) {
      throw new GatewayError(
        'ERR_REDIRECT_LOOP',
        'the browser came by https to a listener that sends browsers to https',
        {
          proxyError: 'proxy_configuration_error',
        },
      )
    }
    visit.exchange.localReason = 'https_redirect'
    return localAnswer(308, [
      'Location',
      `https://${host.name}${portText}${target.received.startsWith('/') ? target.received : '/'}`,
    ])
  }
}
