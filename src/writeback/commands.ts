import { type List, parseList, Token } from 'structured-headers'
import type { SessionChanges } from '../django/changes.ts'
import type { ExpirySetting } from '../django/expiry.ts'
import { parseSessionDataList, type SessionData, strictJson } from '../django/json.ts'
import type { RawHeaders } from '../http/headers.ts'
import { parseExpiry } from './expiry-header.ts'
import { type CommandHeader, commandHeaders, isReservedKey, parseCommandName } from './names.ts'
import { refusal } from './refusal.ts'

/** What one answer of an app asks of the session, read but not yet permitted. */
export type Commands = SessionChanges

/** Keys set and deleted by one answer. */
const MAX_KEYS = 64

/** Values of all command headers of one answer together. */
const MAX_COMMAND_BYTES = 8 * 1024

/** The words of `X-Session-Command`. */
const words: ReadonlySet<string> = new Set(['flush', 'clear', 'cycle-key'])

/**
 * The commands in an answer's head; `undefined` if it holds no command header at all.
 *
 * All or nothing: one bad command, and the answer is refused whole. What can be read in two ways is malformed, not
 * repaired. So is a command that only a lax reader recognises (`X_Session_Set`): ignoring it would leave its author
 * without the change and without a word. Other `X-Session-…` headers are no commands and ask nothing.
 *
 * @throws {GatewayError} `ERR_WRITEBACK_REFUSED`.
 */
export function readCommands(raw: RawHeaders): Commands | undefined {
  const lines = readLines(raw)
  if (lines === undefined) return undefined
  const set = readSet(lines['X-Session-Set'])
  const deletes = readDelete(lines['X-Session-Delete'])
  const said = readWords(lines['X-Session-Command'])
  const expiry = readExpiry(lines['X-Session-Expiry'])
  checkKeys(commandHeaders.set, set.keys())
  checkKeys(commandHeaders.delete, deletes)
  if (set.size + deletes.size > MAX_KEYS) {
    const header = set.size > MAX_KEYS ? commandHeaders.set : commandHeaders.delete
    throw refusal({ reason: 'too_many_keys', header })
  }
  return {
    flush: said.has('flush'),
    clear: said.has('clear'),
    delete: [...deletes],
    set,
    cycleKey: said.has('cycle-key'),
    ...(expiry === undefined ? {} : { expiry }),
  }
}

/**
 * The commands that an answer of this status is obeyed in. On 1xx none are. From 500 on they are not even read, since
 * an app that fails may have failed half-way through; only `flush` with nothing beside it is obeyed, because a log-out
 * that the user asked for must not depend on the page that follows.
 *
 * @throws {GatewayError} `ERR_WRITEBACK_REFUSED` for answers below 500.
 */
export function obeyedCommands(status: number, raw: RawHeaders): Commands | undefined {
  if (status < 200) return undefined
  return status < 500 ? readCommands(raw) : parseLoneFlush(raw)
}

function parseLoneFlush(raw: RawHeaders): Commands | undefined {
  let flush = false
  for (let i = 0; i < raw.length; i += 2) {
    const header = parseCommandName(raw[i] ?? '')
    if (header === undefined) continue
    if (header !== commandHeaders.command || raw[i + 1]?.trim() !== 'flush') return undefined
    flush = true
  }
  return flush ? { flush, clear: false, delete: [], set: new Map(), cycleKey: false } : undefined
}

type CommandLines = Readonly<Record<CommandHeader, readonly string[]>>

/** The values of the command headers as text, once their sum is known to be small. */
function readLines(raw: RawHeaders): CommandLines | undefined {
  const lines: Record<CommandHeader, string[]> = {
    'X-Session-Set': [],
    'X-Session-Delete': [],
    'X-Session-Command': [],
    'X-Session-Expiry': [],
  }
  let found = false
  let bytes = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    const header = parseCommandName(name)
    if (header === undefined) continue
    if (header === 'misspelt') throw refusal({ reason: 'malformed', header: name })
    const value = raw[i + 1] ?? ''
    bytes += value.length
    if (bytes > MAX_COMMAND_BYTES) throw refusal({ reason: 'too_large', header })
    found = true
    lines[header].push(readUtf8(value, header))
  }
  return found ? lines : undefined
}

/** Header values arrive one character a byte; what the bytes spell is UTF-8, and nothing else is guessed. */
function readUtf8(value: string, header: CommandHeader): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    throw refusal({ reason: 'malformed', header })
  }
}

/**
 * Each line is one JSON object or several (RFC 8259: no NaN), read by itself, so that no object can begin in one line
 * and end in another. A name that comes twice in one object is malformed, because readers differ on which one counts.
 */
function readSet(lines: readonly string[]): SessionData {
  const set = new Map<string, string>()
  for (const line of lines) {
    const objects = parseSessionDataList(line, { duplicateKeys: 'refuse' })
    if (objects === undefined) throw refusal({ reason: 'malformed', header: commandHeaders.set })
    for (const [key, text] of objects.flatMap((object) => [...object])) {
      if (strictJson(text) !== text) throw refusal({ reason: 'malformed', header: commandHeaders.set, key })
      set.set(key, text)
    }
  }
  return set
}

/** RFC 9651, section 3.1: a list of tokens or strings, here without parameters and without inner lists. */
function readDelete(lines: readonly string[]): ReadonlySet<string> {
  const keys = readList(lines, commandHeaders.delete).map(([item, parameters]) => {
    if (parameters.size > 0) return undefined
    return item instanceof Token ? item.toString() : item
  })
  return new Set(
    keys.map((key) => {
      if (typeof key !== 'string') throw refusal({ reason: 'malformed', header: commandHeaders.delete })
      return key
    }),
  )
}

function readWords(lines: readonly string[]): ReadonlySet<string> {
  const header = commandHeaders.command
  const items = readList(lines, header)
  const said = new Set<string>()
  for (const [item, parameters] of items) {
    const word = item instanceof Token && parameters.size === 0 ? item.toString() : ''
    if (!words.has(word)) throw refusal({ reason: 'malformed', header })
    said.add(word)
  }
  const isSilent = lines.length > 0 && said.size === 0
  if (isSilent || (said.has('flush') && said.has('clear'))) throw refusal({ reason: 'malformed', header })
  return said
}

/** An empty list is a list (RFC 9651, section 4.2); an empty line among others is the trailing comma that it forbids. */
function readList(lines: readonly string[], header: CommandHeader): List {
  if (lines.length > 1 && lines.some((line) => line.trim() === '')) throw refusal({ reason: 'malformed', header })
  try {
    return lines.flatMap((line) => parseList(line))
  } catch {
    throw refusal({ reason: 'malformed', header })
  }
}

function readExpiry(lines: readonly string[]): ExpirySetting | undefined {
  const [line] = lines
  if (line === undefined) return undefined
  const setting = lines.length === 1 ? parseExpiry(line.trim()) : undefined
  if (setting === undefined) throw refusal({ reason: 'malformed', header: commandHeaders.expiry })
  return setting
}

function checkKeys(header: CommandHeader, keys: Iterable<string>): void {
  for (const key of keys) if (isReservedKey(key)) throw refusal({ reason: 'reserved', header, key })
}
