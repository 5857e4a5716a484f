import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { readAlerts, readPanelQueries, readPanels } from '../support/shipped-metrics.ts'

const checkout = resolve(import.meta.dirname, '../..')
const operating = readFileSync(resolve(checkout, 'docs/operating.md'), 'utf8')

for (const { alert, labels, annotations } of readAlerts()) {
  test(`${alert} says what is the matter, how urgent it is, and where to read on`, () => {
    const { summary = '', description = '', runbook = '' } = annotations
    assert.ok(summary.length > 10 && description.length > 20)
    assert.ok(['page', 'ticket'].includes(labels.severity ?? ''))
    const [page = '', anchor] = runbook.split('#')
    assert.ok(existsSync(resolve(checkout, page)), page)
    const headings = [...readFileSync(resolve(checkout, page), 'utf8').matchAll(/^## (.+)$/gm)].map(
      ([, text = '']) => text,
    )
    assert.ok(headings.includes(alert))
    assert.equal(anchor, alert.toLowerCase())
  })
}

test('docs/alerts.md has a heading for every alert, and none for what is not there', () => {
  const page = readFileSync(resolve(checkout, 'docs/alerts.md'), 'utf8')
  const headings = [...page.matchAll(/^## (Sessiongate\w+)$/gm)].map(([, name]) => name)
  assert.deepEqual(
    headings,
    readAlerts().map(({ alert }) => alert),
  )
})

test('every metric that an alert or the dashboard asks for is documented', () => {
  const expressions = [
    ...readAlerts().map(({ expr }) => expr),
    ...readPanelQueries('1m').map((query) => query.expression),
  ]
  const asked = new Set(expressions.flatMap((expression) => expression.match(/sessiongate_\w+/g) ?? []))
  const unknown = [...asked].filter((name) => !operating.includes(`\`${name.replace(/_(bucket|count|sum)$/, '')}\``))
  assert.deepEqual(unknown, [])
})

test('every metric that is documented is on the dashboard', () => {
  const shown = readPanelQueries('1m')
    .map((query) => query.expression)
    .join('\n')
  const documented = [...operating.matchAll(/^\| `(sessiongate_\w+)` \|/gm)].map(([, name = '']) => name)
  const absent = documented.filter((name) => !shown.includes(name))
  assert.deepEqual(absent, [
    // That a certificate was taken over is seen at its end, that it was refused at last_reload_successful.
    'sessiongate_tls_certificate_reloads_total',
    // Of a supervisor only.
    'sessiongate_workers_up',
    'sessiongate_workers_configured',
    'sessiongate_worker_restarts_total',
  ])
})

test('panels do not overlap, and have ids of their own', () => {
  const panels = readPanels()
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const cells = panels.flatMap(({ title, gridPos: { x, y, w, h } }) => {
    assert.ok(x + w <= 24, title)
    return Array.from({ length: w * h }, (_, i) => `${x + (i % w)}:${y + Math.floor(i / w)}`)
  })
  assert.equal(new Set(cells).size, cells.length)
})
