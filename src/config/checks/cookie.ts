import type { Path } from '../path.ts'
import type { CheckContext } from './context.ts'

/** RFC 6265bis, section 5.6: what browsers demand of a cookie before they keep it. They compare prefixes in any case. */
export function checkCookie(context: CheckContext): void {
  const { session } = context.file
  const name = session.cookie_name.toLowerCase()
  const prefix = ['__host-', '__secure-'].find((candidate) => name.startsWith(candidate))
  const namePath = ['session', 'cookie_name']
  const isSecureKnown = !context.isUnsure(['session', 'cookie_secure'])
  if (prefix !== undefined && session.cookie_secure !== true && isSecureKnown) {
    context.error(namePath, {
      message: `browsers drop a cookie called ${context.quote(namePath, session.cookie_name)} unless it is Secure`,
      hint: 'set session.cookie_secure: true, or choose another name',
    })
  }
  if (session.cookie_samesite === 'None' && session.cookie_secure !== true && isSecureKnown) {
    context.error(['session', 'cookie_samesite'], {
      message: 'browsers drop a cookie with SameSite=None unless it is Secure',
      hint: 'set session.cookie_secure: true',
    })
  }
  if (prefix === '__host-') checkHostPrefix(context)
}

function checkHostPrefix(context: CheckContext): void {
  const { session } = context.file
  const demand = (path: Path, isMet: boolean, hint: string) => {
    if (isMet || context.isUnsure(path)) return
    context.error(path, { message: 'browsers drop a __Host- cookie that has a domain or another path than /', hint })
  }
  demand(['session', 'cookie_path'], session.cookie_path === '/', 'set session.cookie_path: /')
  demand(['session', 'cookie_domain'], session.cookie_domain === undefined, 'remove session.cookie_domain')
}
