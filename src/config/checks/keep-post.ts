import type { FileRoute } from '../schema/file.ts'
import type { CheckContext } from './context.ts'

/** Forms can be kept only where somebody is sent to a login, and come back only where the session can be seen. */
export function checkKeepPost(context: CheckContext): void {
  const { file } = context
  for (const [at, route] of file.routes.entries()) {
    if (route.keep_post === undefined) continue
    const flaw = flawOf(route)
    if (flaw !== undefined && !context.isUnsure(['routes', at, flaw.key])) {
      context.error(['routes', at, 'keep_post'], {
        message: `keep_post keeps what somebody sent who goes to the login, and ${flaw.text}`,
        hint: 'remove keep_post',
        atKey: true,
      })
    }
    if (file.session.cookie_path === '/' || context.isUnsure(['session', 'cookie_path'])) continue
    context.error(['routes', at, 'keep_post'], {
      message:
        'keep_post asks after the login whether to send the form again, at an address outside of session.cookie_path',
      hint: 'write cookie_path: /, or remove keep_post',
      atKey: true,
    })
  }
}

function flawOf(route: FileRoute): { readonly key: string; readonly text: string } | undefined {
  if (route.session === 'none') return { key: 'session', text: 'session: none knows nobody' }
  if (route.auth === 'public') return { key: 'auth', text: 'auth: public sends nobody there' }
  if (route.on_deny === 'status') return { key: 'on_deny', text: 'on_deny: status sends nobody there' }
  return undefined
}
