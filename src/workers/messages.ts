import { z } from 'zod'
import type { FileSnapshot } from '../config/snapshot.ts'
import type { MetricFamily } from '../observe/metric-families.ts'
import { operation, type ServerPlace, serverPlace } from './operation-messages.ts'

/**
 * What supervisor and workers say to each other, as JSON. A rolling restart may start the workers of another version:
 * what changes here in a way that the other side would not understand needs a new number.
 */
export const PROTOCOL = 2

const files: z.ZodType<FileSnapshot> = z.array(z.tuple([z.string(), z.string()]))
const id = z.number()
const drained: z.ZodType<readonly ServerPlace[]> = z.array(serverPlace)
const lines: z.ZodType<readonly string[]> = z.array(z.string())

const order = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('start'),
    /** The YAML's path, a name among `files`. */
    path: z.string(),
    files,
    keepsHouse: z.boolean(),
    /** 32 bytes in base64. */
    ticketSecret: z.string(),
    /** Servers that the operator has taken out. */
    drained,
  }),
  /** To be answered with `pong` by whoever's event loop turns. */
  z.object({ kind: z.literal('ping') }),
  /** `totals`: only what the history is made of. */
  z.object({ kind: z.literal('metrics'), id, only: z.literal('totals').optional() }),
  z.object({ kind: z.literal('readiness'), id }),
  /** Something that the operator asks; it may take long, so that `begun` is said first. */
  z.object({ kind: z.literal('operate'), id, operation }),
  /** Whether somebody watches: only then are `requests` sent. */
  z.object({ kind: z.literal('watch'), isOn: z.boolean() }),
  /** Build that configuration beside the one in force; nothing of it serves until `commit`. */
  z.object({ kind: z.literal('prepare'), id, path: z.string(), files }),
  z.object({ kind: z.literal('commit'), id }),
  /** Drop what was prepared. */
  z.object({ kind: z.literal('abort') }),
  z.object({ kind: z.literal('drain'), readinessDelayMs: z.number() }),
  z.object({ kind: z.literal('cut') }),
])

/** From the supervisor to a worker. */
export type Order = z.output<typeof order>
export type StartOrder = Extract<Order, { kind: 'start' }>
/** One that is answered with its number. */
export type Question = Extract<Order, { id: number }>
/** Of each kind by itself: what is left out of a union is left out of all. */
export type QuestionBody = Question extends infer Each ? (Each extends Question ? Omit<Each, 'id'> : never) : never

const listeners = z.array(z.object({ address: z.string(), isTls: z.boolean() }))

const families: z.ZodType<readonly MetricFamily[]> = z.array(
  z.object({
    name: z.string(),
    help: z.string(),
    type: z.string(),
    aggregator: z.enum(['omit', 'sum', 'first', 'min', 'max', 'average']),
    values: z.array(
      z.object({
        metricName: z.string().optional(),
        labels: z.record(z.string(), z.union([z.string(), z.number()])),
        value: z.number().nullable(),
      }),
    ),
  }),
)

const report = z.discriminatedUnion('kind', [
  /** The process is there and waits for `start`. */
  z.object({ kind: z.literal('hello'), protocol: z.number(), version: z.string() }),
  z.object({ kind: z.literal('listening'), listeners }),
  /** It could not start, and ends. */
  z.object({ kind: z.literal('failed'), message: z.string() }),
  z.object({ kind: z.literal('pong') }),
  z.object({ kind: z.literal('answer'), id, answer: z.unknown() }),
  /** The question has been taken; the answer comes, however long it takes. */
  z.object({ kind: z.literal('begun'), id }),
  /** Lines of the access log, for those who watch; after them so many had no room. */
  z.object({ kind: z.literal('requests'), lines, leftOut: z.number() }),
  /** What it has counted, as it ends. */
  z.object({ kind: z.literal('last'), families }),
])

/** From a worker to the supervisor. */
export type Report = z.output<typeof report>
/** Where a worker takes connections. */
export type WorkerListener = z.output<typeof listeners>[number]

/** What questions are answered with. */
export const answers = {
  metrics: families,
  readiness: z.object({ isReady: z.boolean(), checks: z.record(z.string(), z.string()) }),
  done: z.union([z.object({ ok: z.literal(true) }), z.object({ ok: z.literal(false), reason: z.string() })]),
} as const

/** Whether a configuration could be prepared, or put into force. */
export type Done = z.output<typeof answers.done>

/** Undefined for what is no order. */
export function parseOrder(message: unknown): Order | undefined {
  return order.safeParse(message).data
}

/** Undefined for what is no report. */
export function parseReport(message: unknown): Report | undefined {
  return report.safeParse(message).data
}
