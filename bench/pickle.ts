/**
 * What it costs to read and to write a session of a cache: Django's pickle, beside the same session as JSON, which is
 * what the other serializer does. Prints microseconds and ratios: `node bench/pickle.ts`.
 */
import { jsonSerializer } from '../src/sessions/caches/json-serializer.ts'
import { pickleSerializer } from '../src/sessions/caches/pickle-serializer.ts'
import { sampleSession } from './engines/sample-session.ts'

function microsecondsPerCall(call: () => unknown, calls: number): number {
  let made = 0
  const start = performance.now()
  for (let i = 0; i < calls; i++) if (call() !== undefined) made++
  const elapsed = performance.now() - start
  if (made !== calls) throw new TypeError('a session was not read')
  return (elapsed / calls) * 1000
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

for (const sizeBytes of [1024, 16 * 1024]) {
  const data = sampleSession(sizeBytes)
  const [pickled, json] = [pickleSerializer.encode(data), jsonSerializer.encode(data)]
  const calls = {
    pickleEncode: () => pickleSerializer.encode(data),
    pickleDecode: () => pickleSerializer.decode(pickled),
    jsonEncode: () => jsonSerializer.encode(data),
    jsonDecode: () => jsonSerializer.decode(json),
  }
  const results = { pickleEncode: [], pickleDecode: [], jsonEncode: [], jsonDecode: [] } as Record<string, number[]>
  for (let round = 0; round < 7; round++) {
    for (const [name, call] of Object.entries(calls))
      results[name]?.push(microsecondsPerCall(call, Math.round(4_000_000 / sizeBytes)))
  }
  const cost = (name: keyof typeof calls) => median(results[name] ?? [])
  const ratio = (part: 'Encode' | 'Decode') => (cost(`pickle${part}`) / cost(`json${part}`)).toFixed(1)
  console.log(
    `${json.length} bytes of JSON, ${pickled.length} pickled:`,
    `encode ${cost('pickleEncode').toFixed(1)} µs (${ratio('Encode')} times JSON),`,
    `decode ${cost('pickleDecode').toFixed(1)} µs (${ratio('Decode')} times JSON)`,
  )
}
