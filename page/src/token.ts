const NAME = 'sessiongate.admin.token'

/**
 * The token stays in the tab's own memory that survives a reload (`sessionStorage`): it ends with the tab, other tabs and
 * other sites do not have it, nothing is written for later. A cookie would be sent by the browser on its own, also when
 * the page of another site asks for it; `localStorage` would keep it after the browser is closed.
 */
export function readToken(): string | undefined {
  return sessionStorage.getItem(NAME) ?? undefined
}

export function keepToken(token: string): void {
  sessionStorage.setItem(NAME, token)
}

export function dropToken(): void {
  sessionStorage.removeItem(NAME)
}
