import type { CheckContext } from './context.ts'

const place = ['session', 'user_index']

/** An index of users needs users, and sessions that are kept somewhere. */
export function checkUserIndex(context: CheckContext): void {
  const { user_index: isWanted, user_id: userId, engine } = context.file.session
  if (!isWanted || context.isUnsure(place)) return
  if (engine === 'signed_cookies' && !context.isUnsure(['session', 'engine'])) {
    context.error(place, {
      message: 'user_index finds the sessions that are kept for a user, and signed_cookies keeps none',
      hint: 'remove it, or use another engine',
    })
  }
  if (userId === undefined && !context.isUnsure(['session', 'user_id'])) {
    context.error(place, {
      message: 'user_index needs user_id, the place in a session where the id of its user is',
      hint: 'add it, such as user_id: userInfo.id, or _auth_user_id for what django.contrib.auth writes',
    })
  }
}
