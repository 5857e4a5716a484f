import { type Clock, systemClock } from '../lib/clock.ts'
import { MAX_LINE_CHARACTERS, quoted, safeInLine } from './json-text.ts'
import { openSink, type Sink } from './sink.ts'
import { createTimestamp } from './timestamp.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** What may stand in a log line. `undefined` members are left out. Never a cookie, a key, a session value or a DSN. */
export type LogFields = Readonly<Record<string, LogValue | undefined>>
export type LogValue = string | number | boolean | readonly string[] | { readonly [name: string]: LogValue | undefined }

/** Writes one JSON object per line. Never throws and never waits, whatever becomes of the reader. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export interface LogOptions {
  /** Lines below it are not written; default `info`. */
  readonly level?: LogLevel
  /** Where lines go; the log closes it. Default one on `fd`. */
  readonly sink?: Sink
  /** The file descriptor to write to; default 1, stdout. */
  readonly fd?: number
  /** How much may wait for a slow reader before lines are dropped; default 4 MiB. */
  readonly maxWaitingBytes?: number
  /** For how long lines are gathered while many come; default 5. See `SinkOptions`. */
  readonly gatherMs?: number
  /** For how long closing waits for a reader that does not read; default 1,000. */
  readonly closeTimeoutMs?: number
  readonly clock?: Clock
}

/** A log that also takes lines of which the caller wrote the text. */
export interface TextLog extends Log {
  /**
   * A writer for many lines of one kind. It takes what stands behind `msg`: one or more members of a JSON object and the
   * closing brace, safe in a line (`json-text.ts`).
   */
  prepare(level: 'debug' | 'info' | 'warn' | 'error', message: string): (members: string) => void
}

export interface OpenLog extends TextLog, AsyncDisposable {
  /** From now on lines below it are not written; what was prepared before keeps to the level of before. */
  setLevel(level: LogLevel): void
  /** Lines lost since the start, because the reader stalled or went away. */
  readonly droppedLines: number
  /** Writes what waits, for at most `closeTimeoutMs`; lines after that are dropped. */
  [Symbol.asyncDispose](): Promise<void>
}

const MAX_TEXT_CHARACTERS = 1024
const MAX_LIST_ITEMS = 50

const severity: Readonly<Record<LogLevel, number>> = {
  trace: -1,
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  fatal: 4,
  silent: 5,
}

/**
 * A log on a file descriptor. Writing is asynchronous: a reader that stalls costs lines, never requests, and the loss is
 * counted. Every line begins with `time` (ISO 8601, UTC), `level` and `msg`; the fields after them are the caller's.
 */
export function openLog(options: LogOptions = {}): OpenLog {
  const { fd = 1, maxWaitingBytes = 4 * 1024 * 1024, gatherMs = 5 } = options
  const sink = options.sink ?? openSink(fd, { maxWaiting: maxWaitingBytes, gatherMs })
  const clock = options.clock ?? systemClock
  const closeTimeoutMs = options.closeTimeoutMs ?? 1000
  let threshold = severity[options.level ?? 'info']
  const timestamp = createTimestamp()

  const head = (level: LogLevel, message: string): string =>
    `{"time":"${timestamp(clock())}","level":"${level}","msg":${quoted(message)}`
  const writer =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (severity[level] >= threshold) sink.write(`${head(level, message)}${fieldsText(fields)}\n`)
    }
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    prepare(level, message) {
      if (severity[level] < threshold) return () => undefined
      const middle = `","level":"${level}","msg":${quoted(message)},`
      return (members) => sink.write(`{"time":"${timestamp(clock())}${middle}${members}\n`)
    },
    setLevel(level) {
      threshold = severity[level]
    },
    get droppedLines() {
      return sink.droppedLines
    },
    [Symbol.asyncDispose]: () => sink.close(closeTimeoutMs),
  }
}

/** What follows the head, the closing brace included. */
function fieldsText(fields: LogFields): string {
  let text = JSON.stringify(fields)
  if (text === '{}') return '}'
  if (text.length > MAX_LINE_CHARACTERS) text = JSON.stringify(shortened(fields))
  return `,${safeInLine(text).slice(1)}`
}

function shortened(value: LogValue | undefined): LogValue | undefined {
  if (typeof value === 'string') return cutText(value)
  if (isList(value)) return value.slice(0, MAX_LIST_ITEMS).map(cutText)
  if (typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shortened(member)]))
}

function isList(value: LogValue | undefined): value is readonly string[] {
  return Array.isArray(value)
}

function cutText(text: string): string {
  return text.length > MAX_TEXT_CHARACTERS ? `${text.slice(0, MAX_TEXT_CHARACTERS)}…` : text
}
