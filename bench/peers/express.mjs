// express-session with connect-redis in front of http-proxy-middleware, as their pages show them: `PORT APP-ORIGIN REDIS-URL`.
// To its advantage: it writes no log, and the session's life in Redis is not renewed with each request, which is the
// default of connect-redis.
import { Agent } from 'node:http'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { createClient } from 'redis'

const [port, target, redisUrl] = process.argv.slice(2)
const client = createClient({ url: redisUrl })
await client.connect()

const app = express()
app.disable('x-powered-by')
app.use(
  session({
    store: new RedisStore({ client, prefix: 'express:', disableTouch: true }),
    secret: '0123456789abcdef0123456789abcdef',
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 14 * 24 * 3_600_000 },
  }),
)
app.post('/login', (request, response) => {
  request.session.userInfo = { id: 7, name: 'Ada Lovelace' }
  request.session.lang = 'en'
  response.send('ok')
})
app.use((request, response, next) => {
  if (request.session.userInfo === undefined) response.status(401).send('log in first')
  else next()
})
app.use(
  createProxyMiddleware({
    target,
    // Without a limit: a connection whose client went away in the midst of an answer is not given back.
    agent: new Agent({ keepAlive: true }),
    on: {
      proxyReq(proxied, request) {
        proxied.setHeader('X-User-Name', request.session.userInfo.name)
      },
    },
  }),
)
const server = app.listen(Number(port), '127.0.0.1')
server.keepAliveTimeout = 600_000
