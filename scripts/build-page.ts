/** Builds the operator's page: `npm run build:page` writes `page/built`, which is committed and shipped. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { buildPage } from './page-bundle.ts'

const folder = resolve(import.meta.dirname, '../page/built')
await mkdir(folder, { recursive: true })
for (const [name, bytes] of await buildPage()) {
  await writeFile(join(folder, name), bytes)
  process.stdout.write(`page/built/${name} ${bytes.length}\n`)
}
