import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStage } from '../security/stage.ts'
import { within } from '../support/deadline.ts'
import { bodyOf, createFormBrowser } from '../support/form-browser.ts'
import { formApp, formConfig } from '../support/form-stage.ts'
import { requireServer } from '../support/requirement.ts'

const nginx = requireServer('nginx')
const kept = '/.sessiongate/kept-post'

test('the largest form that is kept by default passes nginx with the buffers that it has by default', {
  skip: nginx.skip,
}, async () => {
  await using stage = await openStage(`trusted_proxies: [127.0.0.1]\n${formConfig}`, { handler: formApp })
  await using proxy = await startNginx(stage.gateway.port)
  const visitor = createFormBrowser(`http://app.test:${proxy.port}`, { port: proxy.port })
  let [largest, length] = [0, 0]
  for (let bytes = 1_800; bytes < 2_400; bytes += 20) {
    const body = `text=${randomBytes(bytes).toString('base64url')}`
    const page = await visitor.post('/save?id=7', body)
    assert.equal(page.status, 303, `${bytes} bytes, ${page.headBytes} of head`)
    if (page.setCookies.length === 0) break
    largest = bytes
    length = page.setCookies.join('').length
    await visitor.post('/login', '')
    assert.equal(bodyOf((await visitor.open(kept)).html), body)
    await visitor.jar.removeAllCookies()
  }
  assert.ok(largest > 1_800 && length > 3_000, `${largest}, ${length}`)
})

async function startNginx(upstreamPort: number): Promise<{ readonly port: number } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-nginx-'))
  const port = await freePort()
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events { }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${upstreamPort};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`,
  )
  const child = spawn(nginx.path, ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const deadlineMs = performance.now() + 10_000
  while (!(await fetch(`http://127.0.0.1:${port}/favicon.ico`).catch(() => undefined))) {
    assert.ok(performance.now() < deadlineMs, 'nginx does not listen')
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGQUIT')
      await within('nginx to end', exited)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  await using probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  return typeof address === 'object' && address !== null ? address.port : assert.fail('no port')
}
