import { destination } from 'pino'
import { type Clock, type EpochMs, systemClock } from '../lib/clock.ts'

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
  /** The file descriptor to write to; default 1, stdout. */
  readonly fd?: number
  /** How much may wait for a slow reader before lines are dropped; default 1 MiB. */
  readonly maxWaitingBytes?: number
  /** For how long closing waits for a reader that does not read; default 1,000. */
  readonly closeTimeoutMs?: number
  readonly clock?: Clock
}

export interface OpenLog extends Log, AsyncDisposable {
  /** Lines lost since the start, because the reader stalled or went away. */
  readonly droppedLines: number
  /** Writes what waits, for at most `closeTimeoutMs`; lines after that are dropped. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A line over this is made again with its texts cut: a log is no place to store what a stranger sends. */
const MAX_LINE_CHARACTERS = 16_384
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
 *
 * The lines are made by one `JSON.stringify`, not by pino's logger: for an access line of 25 fields that takes a third of
 * the time (`bench/log-line.ts`), and every request has one. Pino's part is the way to the descriptor.
 */
export function openLog(options: LogOptions = {}): OpenLog {
  const sink = openSink(options.fd ?? 1, options.maxWaitingBytes ?? 1024 * 1024)
  const clock = options.clock ?? systemClock
  const closeTimeoutMs = options.closeTimeoutMs ?? 1000
  const threshold = severity[options.level ?? 'info']

  const writer = (level: LogLevel) => {
    if (severity[level] < threshold) return () => undefined
    return (message: string, fields?: LogFields) => sink.write(formatLine(clock(), level, message, fields))
  }
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    get droppedLines() {
      return sink.droppedLines
    },
    [Symbol.asyncDispose]: () => sink.close(closeTimeoutMs),
  }
}

function formatLine(at: EpochMs, level: LogLevel, message: string, fields: LogFields = {}): string {
  const head = `{"time":"${new Date(at).toISOString()}","level":"${level}","msg":${JSON.stringify(message)}`
  let body = JSON.stringify(fields)
  if (body.length > MAX_LINE_CHARACTERS) body = JSON.stringify(shortened(fields))
  const line = body === '{}' ? `${head}}\n` : `${head},${body.slice(1)}\n`
  return isAscii(line) ? line : line.replace(unsafeInLine, escapeCharacter)
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

/** JSON leaves them as they are, but terminals act on some and some readers take others for a line's end. */
const unsafeInLine = /[\u0080-\u009f\u2028\u2029]/g

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Far quicker than looking for the characters one by one, and nearly always true. */
function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length
}

interface Sink {
  write(line: string): void
  readonly droppedLines: number
  close(timeoutMs: number): Promise<void>
}

function openSink(fd: number, maxWaitingBytes: number): Sink {
  const file = destination({ fd, sync: false, minLength: 0, maxLength: maxWaitingBytes })
  let droppedLines = 0
  let isOpen = true
  file.on('drop', () => {
    droppedLines += 1
  })
  // The gateway serves on. A reader that is gone does not come back; a full disk may, so what waits is tried again with
  // the next line, and lines are dropped once too much waits.
  file.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') isOpen = false
    abandon(file)
  })
  return {
    write(line) {
      if (isOpen) file.write(line)
      else droppedLines += 1
    },
    get droppedLines() {
      return droppedLines
    },
    async close(timeoutMs) {
      if (!isOpen) return
      isOpen = false
      await finished(file, timeoutMs)
      abandon(file)
    },
  }
}

/** At exit the library writes what is left, again and again for as long as that fails: without this the process never ends. */
function abandon(file: ReturnType<typeof destination>): void {
  file.flushSync = () => undefined
}

/** Resolves when everything is written or failed, or after the deadline: a stalled reader must not hold up the exit. */
function finished(file: ReturnType<typeof destination>, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(resolve, timeoutMs)
    const finish = () => {
      clearTimeout(deadline)
      resolve()
    }
    file.once('close', finish)
    file.once('error', finish)
    file.end()
  })
}
