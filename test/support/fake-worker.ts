/**
 * A worker that speaks the supervisor's language and serves nothing: what it does stands in its last argument, as JSON.
 * It listens nowhere, so that hundreds can be started in a second.
 */
export interface FakeBehaviour {
  /** Ends instead of listening, with these words. */
  readonly fails?: string
  /** Ends instead of listening, without a word. */
  readonly vanishes?: boolean
  readonly protocol?: number
  /** Ends with 3 as soon as it listens. */
  readonly dies?: boolean
  /** As soon as it listens, its event loop never turns again. */
  readonly blocks?: boolean
  /** What it says that it has counted. */
  readonly counted?: number
  /** Does not answer when it is asked for metrics. */
  readonly isMute?: boolean
  /** What it says when it ends politely; default the same. */
  readonly countedAtEnd?: number
  readonly isReady?: boolean
  /** Why it cannot take another configuration. */
  readonly refuses?: string
  /** Dies when it is asked to prepare one. */
  readonly diesPreparing?: boolean
  /** Does not end when it is told to. */
  readonly staysOn?: boolean
  /** What it answers to what the operator asks, by the operation's name; `null`: it never does. */
  readonly operated?: Readonly<Record<string, unknown>>
  /** Says that it has begun with such an operation, and dies. */
  readonly diesOperating?: string
  /** Says, to its output too, that it has begun with such an operation, and that was it. */
  readonly begins?: string
  /** Written to its output when it listens. */
  readonly lines?: readonly string[]
}

const behaviour: FakeBehaviour = JSON.parse(process.argv.at(-1) ?? '{}')
const say = (report: object): void => void process.send?.(report)

let configuration = ''
let drained: readonly unknown[] = []
let prepared = ''

function families(counted: number): object[] {
  const family = (name: string, type: string) => ({
    name,
    help: name,
    type,
    aggregator: 'sum',
    values: [{ labels: { of: 'fake' }, value: counted }],
  })
  return [family('fake_total', 'counter'), family('fake_now', 'gauge')]
}

function begin(file: string): void {
  configuration = file
  if (behaviour.vanishes === true) process.exit(7)
  if (behaviour.fails !== undefined) {
    process.send?.({ kind: 'failed', message: behaviour.fails }, () => process.exit(1))
    return
  }
  process.stdout.write((behaviour.lines ?? []).map((line) => `${line}\n`).join(''))
  process.send?.({ kind: 'listening', listeners: [{ address: 'fake:1', isTls: false }] }, () => {
    if (behaviour.dies === true) process.exit(3)
    if (behaviour.blocks === true) for (;;);
  })
}

function end(): void {
  if (behaviour.staysOn === true) return
  const counted = behaviour.countedAtEnd ?? behaviour.counted ?? 0
  process.send?.({ kind: 'last', families: families(counted) }, () => process.exit(0))
}

function prepare(id: number, file: string): void {
  if (behaviour.diesPreparing === true) process.exit(5)
  if (behaviour.refuses === undefined) prepared = file
  const answer = behaviour.refuses === undefined ? { ok: true } : { ok: false, reason: behaviour.refuses }
  say({ kind: 'answer', id, answer })
}

function commit(id: number): void {
  configuration = prepared
  say({ kind: 'answer', id, answer: { ok: true } })
}

interface Operation {
  readonly name: string
  readonly place?: unknown
  readonly query?: { readonly cursor?: string }
}

function operate(id: number, operation: Operation): void {
  const { name, place, query } = operation
  const asked = query?.cursor === undefined ? name : `${name} ${query.cursor}`
  const answer = behaviour.operated?.[asked] === undefined ? canned[asked] : behaviour.operated[asked]
  if (answer === null) return
  if (name === 'setDrained') drained = [place]
  say({ kind: 'begun', id })
  if (behaviour.diesOperating === name) process.exit(6)
  if (behaviour.begins === name) process.stdout.write('{"msg":"it has begun"}\n')
  else if (answer !== undefined) say({ kind: 'answer', id, answer })
}

const canned: Readonly<Record<string, unknown>> = {
  setDrained: { kind: 'done', value: true },
  clearExpired: { kind: 'done', value: process.pid },
  overview: {
    kind: 'done',
    value: {
      version: '9',
      node: '26.0.0',
      started_at: '2026-11-23T00:00:00Z',
      uptime_seconds: 0,
      mode: 'enforce',
      config_hash: '',
      listen: ['fake:2'],
      ready: true,
      checks: {},
    },
  },
}

interface Message {
  readonly kind: string
  readonly id: number
  readonly files?: readonly [string, string][]
  readonly operation?: Operation
  readonly isOn?: boolean
  readonly drained?: readonly unknown[]
}

process.on('message', ({ kind, id, files = [], operation, isOn, drained: taken }: Message) => {
  const file = Buffer.from(files[0]?.[1] ?? '', 'base64').toString()
  if (kind === 'start') drained = taken ?? []
  if (kind === 'start') begin(file)
  if (kind === 'operate' && operation !== undefined) operate(id, operation)
  if (kind === 'watch') say({ kind: 'requests', lines: [`${process.pid} ${isOn ? 'on' : 'off'}`], leftOut: 3 })
  if (kind === 'ping') say({ kind: 'pong' })
  if (kind === 'metrics' && behaviour.isMute !== true)
    say({ kind: 'answer', id, answer: families(behaviour.counted ?? 0) })
  if (kind === 'readiness') {
    const answer = {
      isReady: behaviour.isReady !== false,
      checks: { store: 'up', configuration, drained: JSON.stringify(drained) },
    }
    say({ kind: 'answer', id, answer })
  }
  if (kind === 'prepare') prepare(id, file)
  if (kind === 'commit') commit(id)
  if (kind === 'drain' || kind === 'cut') end()
})
process.once('disconnect', () => process.exit(0))
say({ kind: 'hello', protocol: behaviour.protocol ?? 2, version: '9' })
