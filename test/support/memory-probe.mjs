// Loaded into a gateway with `node --import`: at SIGUSR2 it collects garbage and says on stdout what is in use then.
import { setImmediate } from 'node:timers/promises'

let asked = 0
process.on('SIGUSR2', async () => {
  const number = ++asked
  // What a collection lets go of, handles and buffers, is given back in the turns after it.
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.()
    await setImmediate()
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  process.stdout.write(`${JSON.stringify({ msg: 'memory', number, rss, heapUsed, external })}\n`)
})
