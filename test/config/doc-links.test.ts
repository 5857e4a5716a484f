import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

const checkout = resolve(import.meta.dirname, '../..')
const pages = globSync(['*.md', 'docs/*.md', 'examples/**/*.md', 'test/**/*.md'], { cwd: checkout })
  .filter((page) => !page.includes('node_modules'))
  .sort()

/** The anchors that a page has, as the usual viewers make them from its headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

/** What stands in blocks of code is no link, and no heading. */
function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '')
}

function linksOf(text: string): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(([^()\s]+)\)/g)].map(([, target = '']) => target)
  return links.filter((target) => !/^[a-z]+:/.test(target))
}

test('there are pages to look at', () => {
  assert.ok(pages.includes('README.md') && pages.includes('docs/README.md') && pages.length > 12)
})

for (const page of pages) {
  test(`every link of ${page} leads somewhere`, () => {
    const text = readFileSync(join(checkout, page), 'utf8')
    const broken = linksOf(text).filter((target) => {
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : relative(checkout, resolve(checkout, dirname(page), path))
      if (!existsSync(join(checkout, file))) return true
      return anchor !== undefined && !anchorsOf(readFileSync(join(checkout, file), 'utf8')).has(anchor)
    })
    assert.deepEqual(broken, [])
  })
}

test('every page of docs/ is in the index', () => {
  const index = readFileSync(join(checkout, 'docs/README.md'), 'utf8')
  const missing = pages.filter((page) => /^docs\/(?!README)/.test(page) && !index.includes(`(${page.slice(5)})`))
  assert.deepEqual(missing, [])
})
