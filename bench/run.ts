/** `npm run bench -- NAME`: runs one of the files beside this one. */
import { globSync } from 'node:fs'
import { basename } from 'node:path'

const names = globSync('*.ts', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'run')
  .sort()
const name = process.argv[2] ?? ''

if (names.includes(name)) {
  await import(`./${name}.ts`)
} else {
  process.stderr.write(`npm run bench -- ${names.join('|')}\n`)
  process.exitCode = 2
}
