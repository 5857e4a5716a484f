// Runs one of the project's TypeScript scripts: `node scripts/launch.mjs scripts/test.ts …`.
// The checkout brings its own Node (scripts/runtime), and that one is preferred, so that everybody runs the same.
// Plain JavaScript in the words of an old Node, because an old one may be what starts it.
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { explainOldNode } from '../bin/node-version.mjs'

const own = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url))
const [script, ...rest] = process.argv.slice(2)

if (existsSync(own) && realpathSync(own) !== realpathSync(process.execPath)) {
  runWith(own)
} else {
  runHere()
}

/** @param {string} node */
function runWith(node) {
  const child = spawn(node, [script, ...rest], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)))
}

function runHere() {
  const flaw = explainOldNode(process.versions.node)
  if (flaw !== undefined) {
    process.stderr.write(`${flaw}; npm ci brings one where npm has it for this platform\n`)
    process.exit(1)
  }
  process.argv.splice(1, process.argv.length, fileURLToPath(pathToFileURL(script)), ...rest)
  import(pathToFileURL(script).href)
}
