import type { AppHandler } from './app.ts'

/** Logs in whoever posts to /login, and leads on to `next`; takes forms at /save, and has one at /edit. */
export const formApp: AppHandler = (request) => {
  const { pathname, searchParams } = new URL(request.url, 'http://app')
  const html = ['Content-Type', 'text/html; charset=utf-8']
  if (pathname === '/login' && request.method === 'POST') {
    const next = searchParams.get('next') ?? '/'
    return { status: 303, headers: ['X-Session-Set', '{"userInfo":{"id":1}}', 'Location', next] }
  }
  if (pathname === '/login') return { headers: html, body: '<form method="post"><button>Log in</button></form>' }
  if (pathname === '/edit') {
    const body =
      '<form method="post" action="/save?id=7&x=%2F"><textarea name="text"></textarea><input name="ä"><input type="hidden" name="html" value="&lt;b&gt;&quot;&#39;&amp;amp;"><button name="go" value="1">Save</button></form>'
    return { headers: html, body }
  }
  if (pathname === '/save') return { status: 303, headers: ['Location', '/done'] }
  return { headers: html, body: `<h1>${pathname}</h1>` }
}

/** `APP` stands for the app's origin. */
export const formConfig = `
hosts: [app.test, 127.0.0.1, localhost]
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: icon, match: { path: /favicon.ico }, upstream: app, session: none }
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: open, match: { path: /open }, upstream: app, auth: required }
  - { id: small, match: { path: /small }, upstream: app, auth: required, limits: { body: 100 }, keep_post: {} }
  - { id: big, match: { path: /big }, upstream: app, auth: required, keep_post: { max: 12KiB, for: 1h } }
  - { id: short, match: { path: /short }, upstream: app, auth: required, keep_post: { for: 1s } }
  - { id: app, match: { path: /* }, upstream: app, auth: required, keep_post: {} }
`
