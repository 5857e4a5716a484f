import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'

const checkout = resolve(import.meta.dirname, '..')
const bundled = ['preact', 'uplot']

/** What the page consists of, by name. The same source gives the same bytes, wherever it is built. */
export async function buildPage(): Promise<ReadonlyMap<string, Buffer>> {
  const { outputFiles } = await build({
    absWorkingDir: checkout,
    entryPoints: { page: 'page/src/main.tsx', style: 'page/styles/page.css' },
    outdir: 'page/built',
    bundle: true,
    write: false,
    minify: true,
    charset: 'utf8',
    format: 'esm',
    target: ['chrome120', 'firefox121', 'safari17.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    banner: { js: await licences() },
    tsconfig: 'page/tsconfig.json',
    logLevel: 'error',
  })
  const files = new Map<string, Buffer>()
  for (const { path, contents } of outputFiles) {
    files.set(path.endsWith('.js') ? 'page.js' : 'page.css', Buffer.from(contents))
  }
  for (const name of ['index.html', 'icon.svg']) files.set(name, await readFile(join(checkout, 'page', name)))
  return files
}

/** Their licences ask to be kept with every copy. */
async function licences(): Promise<string> {
  const texts = bundled.map(async (name) => {
    const folder = join(checkout, 'node_modules', name)
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string }
    const text = (await readFile(join(folder, 'LICENSE'), 'utf8')).replaceAll('\r', '').trim()
    return `${name} ${version}\n\n${text}`
  })
  return `/*! Built from page/src by npm run build:page. What is in it of others:\n\n${(await Promise.all(texts)).join('\n\n---\n\n')}\n*/`
}
