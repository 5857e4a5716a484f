import { createHash } from 'node:crypto'
import { RedisFailure, redisFailure } from './redis-failure.ts'

/** What a command is made of; strings go out as UTF-8. */
export type RedisArgument = string | number | Buffer

/** Something that a command can be sent to. Replies are as they came: strings are Buffers, no value is null. */
export interface RedisSender {
  send(command: string, ...args: readonly RedisArgument[]): Promise<unknown>
}

/** A script that the server runs as one step; `KEYS[1]` is the one key that it touches. */
export interface Script {
  readonly source: string
  /** What the server knows it by, in hex. */
  readonly digest: string
}

export function scriptOf(source: string): Script {
  return { source, digest: createHash('sha1').update(source).digest('hex') }
}

/**
 * The value with its remaining time, in one step: of GET and PTTL sent one after the other the second may tell of
 * another value than the first. A value over the limit stays where it is, and only its size is told; GET alone would
 * copy whatever somebody put there into this process. It costs the server about twice the time of a plain GET (some
 * microseconds more for some kilobytes), and this process less than a pipeline of two commands.
 */
const readScript = scriptOf(`local size = redis.call('STRLEN', KEYS[1])
if size > tonumber(ARGV[1]) then return {size, redis.call('PTTL', KEYS[1])} end
local value = redis.call('GET', KEYS[1])
return value and {value, redis.call('PTTL', KEYS[1])}`)

/**
 * The same for several keys, each with its own value and time: not more than there is room for, and at least one. Whoever
 * asks for many large values must not make the server hold all of them at once. What is no string counts as one that is
 * over the limit, so that it does not cost the others a second round trip.
 */
const readSeveralScript = scriptOf(`local room = tonumber(ARGV[2])
local found = {}
for i = 1, #KEYS do
  local value = redis.pcall('STRLEN', KEYS[i])
  if type(value) == 'table' then
    if not string.find(value.err, 'WRONGTYPE', 1, true) then return value end
    value = -1
  elseif value <= tonumber(ARGV[1]) then
    if value > room and i > 1 then return found end
    room = room - value
    value = redis.call('GET', KEYS[i])
  end
  found[2 * i - 1] = value
  found[2 * i] = redis.call('PTTL', KEYS[i])
end
return found`)

/** Of the values that one command brings, all but the first. */
const ROOM_BYTES = 1024 * 1024

/** The value goes, or another takes its place, if it still is what it was. One key, so a cluster can run it. */
const compareAndSetScript = scriptOf(`if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) else redis.call('DEL', KEYS[1]) end
return 1`)

/** What lies under a key. */
export interface RedisValue {
  /** Undefined if it is larger than the limit. */
  readonly bytes: Buffer | undefined
  /** Undefined if it stays until it is deleted, after somebody's PERSIST. */
  readonly leftMs: number | undefined
}

/** The value under the key if there is one; without its bytes if there are more than `maxBytes`. */
export async function readValue(sender: RedisSender, key: string, maxBytes: number): Promise<RedisValue | undefined> {
  const reply = await runScript(sender, readScript, [key, maxBytes])
  if (reply === null) return undefined
  if (!Array.isArray(reply) || reply.length !== 2) throw garbled()
  return readingOf(reply[0], reply[1])
}

/**
 * The same for several keys in their order, all of which one server has: one step of it for each command, and one command
 * unless the values are large. Fails as a whole if one of them cannot be read.
 */
export async function readValues(
  sender: RedisSender,
  keys: readonly string[],
  maxBytes: number,
): Promise<(RedisValue | undefined)[]> {
  const values: (RedisValue | undefined)[] = []
  while (values.length < keys.length) {
    const left = keys.slice(values.length)
    const reply = await runScript(sender, readSeveralScript, [...left, maxBytes, ROOM_BYTES], left.length)
    if (!Array.isArray(reply) || reply.length < 2 || reply.length > 2 * left.length) throw garbled()
    for (let i = 0; i < reply.length; i += 2) {
      values.push(reply[i] === null ? undefined : readingOf(reply[i], reply[i + 1]))
    }
  }
  return values
}

function readingOf(value: unknown, left: unknown): RedisValue {
  if (typeof left !== 'number') throw garbled()
  return { bytes: Buffer.isBuffer(value) ? value : undefined, leftMs: left < 0 ? undefined : left }
}

/**
 * Takes the way of every read, for keys that nothing lies under. On one server several show whether it has all keys: one
 * of a cluster refuses keys of two slots. Alone it would answer for a part of them, and seem to come and go.
 */
export async function probe(sender: RedisSender, keys: readonly string[]): Promise<void> {
  const reply = await runScript(sender, readScript, [...keys, 0], keys.length)
  if (reply !== null && !Array.isArray(reply)) throw garbled()
}

export interface Storing {
  readonly key: string
  readonly bytes: Buffer
  readonly ttlSeconds: number
}

/** Stores whatever is there now. */
export async function storeValue(sender: RedisSender, { key, bytes, ttlSeconds }: Storing): Promise<void> {
  const reply = await sender.send('set', key, bytes, 'EX', ttlSeconds)
  if (String(reply) !== 'OK') throw garbled()
}

/** Stores if there is nothing of any kind under the key; false if there is. */
export async function storeNewValue(sender: RedisSender, { key, bytes, ttlSeconds }: Storing): Promise<boolean> {
  const reply = await sender.send('set', key, bytes, 'EX', ttlSeconds, 'NX')
  if (reply !== null && String(reply) !== 'OK') throw garbled()
  return reply !== null
}

export interface CompareAndSet {
  readonly key: string
  readonly expected: Buffer
  /** Undefined: the value goes. */
  readonly next: { readonly bytes: Buffer; readonly ttlSeconds: number } | undefined
}

/** True if the value was the expected one, and now is the next one or gone; false if it was another, or none. */
export async function compareAndSet(sender: RedisSender, { key, expected, next }: CompareAndSet): Promise<boolean> {
  const replacement = next ? [next.bytes, next.ttlSeconds] : []
  const reply = await runScript(sender, compareAndSetScript, [key, expected, ...replacement])
  if (reply !== 0 && reply !== 1) throw garbled()
  return reply === 1
}

/** For an answer that no server gives to such a command. */
export function garbled(): RedisFailure {
  return new RedisFailure('garbled', 'it gave an answer that makes no sense')
}

/**
 * The keys stand first in `args`. By its digest; with its source if the server does not know it: after a restart, a failover, a SCRIPT FLUSH, on the
 * server that a slot has moved to. A server that does not know a script has done nothing, so this is no second try.
 */
export async function runScript(
  sender: RedisSender,
  script: Script,
  args: readonly RedisArgument[],
  keyCount = 1,
): Promise<unknown> {
  try {
    return await sender.send('evalsha', script.digest, keyCount, ...args)
  } catch (error) {
    if (redisFailure(error).kind !== 'no_script') throw error
    return await sender.send('eval', script.source, keyCount, ...args)
  }
}
