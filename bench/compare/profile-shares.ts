/** What V8 writes: a tree of calls, and for each sample the node that was running. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[]
  /** µs of the clock that `process.hrtime` has in every process. */
  readonly startTime: number
}

/** A part of the profile, in ns of `process.hrtime`. */
export interface Window {
  readonly fromNanos: bigint
  readonly toNanos: bigint
}

/** How much of the time fell on one function, file or room; without what it called. */
export interface Share {
  readonly name: string
  readonly micros: number
  /** Of all the time in which something ran, 0 to 1. */
  readonly part: number
}

export interface Shares {
  readonly functions: readonly Share[]
  readonly files: readonly Share[]
  readonly rooms: readonly Share[]
}

/** Self time within the window, the largest first; waiting for something to do is left out. */
export function readShares(profile: CpuProfile, window: Window, checkout: string): Shares {
  const { nodes, samples, timeDeltas, startTime } = profile
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const functions = new Map<string, number>()
  const files = new Map<string, number>()
  const rooms = new Map<string, number>()
  const add = (sums: Map<string, number>, name: string, micros: number): void => {
    sums.set(name, (sums.get(name) ?? 0) + micros)
  }
  const [from, to] = [Number(window.fromNanos / 1000n), Number(window.toNanos / 1000n)]
  let now = startTime
  for (const [i, sample] of samples.entries()) {
    const frame = frames.get(sample)
    const micros = timeDeltas[i] ?? 0
    now += micros
    if (now < from || now > to) continue
    if (frame === undefined || frame.functionName === '(idle)') continue
    const file = fileOf(frame.url, checkout)
    const name = frame.functionName || '(anonymous)'
    add(functions, file === '' ? name : `${name}  ${file}:${frame.lineNumber + 1}`, micros)
    add(files, file === '' ? nativeName(name) : file, micros)
    add(rooms, roomOf(file, name), micros)
  }
  return { functions: sharesOf(functions), files: sharesOf(files), rooms: sharesOf(rooms) }
}

function sharesOf(sums: ReadonlyMap<string, number>): Share[] {
  const all = [...sums.values()].reduce((sum, micros) => sum + micros, 0)
  return [...sums]
    .map(([name, micros]): Share => ({ name, micros, part: micros / all }))
    .sort((a, b) => b.micros - a.micros)
}

/** `src/server/reply.ts`, `ioredis/built/…`, `node:_http_server`; empty for what is V8's own. */
function fileOf(url: string, checkout: string): string {
  const path = url.replace('file://', '')
  const inModules = path.lastIndexOf('/node_modules/')
  if (inModules !== -1) return path.slice(inModules + '/node_modules/'.length)
  return path.startsWith(`${checkout}/`) ? path.slice(checkout.length + 1) : path
}

function nativeName(name: string): string {
  return name.startsWith('(') ? name : '(native)'
}

/** A folder of `src`, a package, or a module of Node's, whose inner streams count as one. */
function roomOf(file: string, name: string): string {
  if (file === '') return nativeName(name)
  if (file.startsWith('wasm:')) return 'wasm'
  if (file.startsWith('node:internal/')) return `node:internal/${file.slice('node:internal/'.length).split('/', 1)[0]}`
  if (file.startsWith('node:')) return file
  const parts = file.split('/')
  return parts.slice(0, parts[0] === 'src' || file.startsWith('@') ? 2 : 1).join('/')
}
