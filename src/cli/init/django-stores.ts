import { existsSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import type { DjangoCache, DjangoDatabase } from './django-settings.ts'
import type { DraftFile } from './draft.ts'
import { hasPassword } from './plain.ts'
import { fileReference, type YamlEntry } from './yaml-text.ts'

/** What a store of a project becomes: entries of the YAML, files for secrets, and what stands in the way. */
export interface StoreDraft {
  readonly entries: readonly YamlEntry[]
  readonly files: readonly DraftFile[]
  /** Is it one that several machines share? */
  readonly isShared: boolean
  readonly notes: readonly string[]
  /** Why the gateway cannot use it, a sentence without a full stop. */
  readonly obstacle?: string
}

interface Places {
  /** Of the project: relative paths in settings start there. */
  readonly folder: string
  /** For secrets, as the YAML is to name it. */
  readonly secrets: string
}

function obstacle(why: string): StoreDraft {
  return { entries: [], files: [], isShared: true, notes: [], obstacle: why }
}

/** `DATABASES[…]` of the sessions. */
export function databaseDraft(database: DjangoDatabase | null, useTz: boolean, places: Places): StoreDraft {
  if (database === null) return obstacle('the sessions’ database cannot be found in DATABASES')
  const timeZone: YamlEntry = ['use_tz', useTz, 'USE_TZ']
  if (/\.sqlite3$|\.spatialite$/.test(database.engine)) {
    if (/^(:memory:|file:.*mode=memory)/.test(database.name) || database.name === '') {
      return obstacle('the sessions are in a database in memory, which ends with its process')
    }
    const url = `sqlite:${sqlitePath(database.name, places.folder)}`
    return { entries: [['url', url, 'Django’s own file'], timeZone], files: [], isShared: false, notes: [] }
  }
  if (!/postgres|postgis|psqlextra/.test(database.engine)) {
    return obstacle(
      `the sessions are in ${database.engine}, and the gateway reads SQLite and PostgreSQL: ` +
        'move them to the engine cache on Redis, or to a database of their own (a database router for django.contrib.sessions)',
    )
  }
  return postgresDraft(database, timeZone, places)
}

function sqlitePath(name: string, folder: string): string {
  const absolute = resolve(folder, name)
  const fromHere = relative(process.cwd(), absolute)
  return fromHere.startsWith('..') ? absolute : `./${fromHere}`
}

/** Those of libpq that the gateway knows too, by their names in OPTIONS. */
const POSTGRES_OPTIONS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'options', 'application_name']

function postgresDraft(database: DjangoDatabase, timeZone: YamlEntry, { secrets }: Places): StoreDraft {
  const { user, password, name, host, port, options } = database
  if (typeof options.service === 'string') {
    return obstacle(`the database is named by the service ${options.service} of libpq: write database.url by hand`)
  }
  const query = new URLSearchParams()
  const isSocket = host === '' || host.startsWith('/')
  if (isSocket) query.set('host', host || socketFolder())
  if (isSocket && port !== '') query.set('port', port)
  for (const key of POSTGRES_OPTIONS) if (typeof options[key] === 'string') query.set(key, options[key])
  const sslmode = query.get('sslmode')
  const notes: string[] = []
  if (sslmode === 'prefer' || sslmode === 'allow') {
    query.delete('sslmode')
    notes.push(`sslmode ${sslmode} protects from nobody, so it is left out; sslmode=verify-full is the one to take`)
  }
  const who = user === '' ? '' : `${encode(user)}${password === '' ? '' : `:${encode(password)}`}@`
  const where = isSocket ? '' : `${host.includes(':') ? `[${host}]` : host}${port === '' ? '' : `:${port}`}`
  // URLSearchParams writes a space as `+`, which libpq takes for a plus.
  const parameters = query.size === 0 ? '' : `?${query.toString().replaceAll('+', '%20')}`
  const url = `postgres://${who}${where}/${encode(name)}${parameters}`
  if (password === '' && !isSocket)
    notes.push('the database has no password in settings.py; set PGPASSWORD if it needs one')
  if (password === '') return { entries: [['url', url], timeZone], files: [], isShared: true, notes }
  const path = `${secrets}/database-url`
  return {
    entries: [['url', fileReference(path), 'as in DATABASES'], timeZone],
    files: [{ kind: 'secret', path, text: `${url}\n` }],
    ...{ isShared: true, notes },
  }
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
}

function socketFolder(): string {
  return existsSync('/var/run/postgresql') ? '/var/run/postgresql' : '/tmp'
}

/** `CACHES[…]` of the sessions. */
export function cacheDraft(cache: DjangoCache | null, alias: string, places: Places): StoreDraft {
  if (cache === null) return obstacle(`CACHES has no ${alias}, which SESSION_CACHE_ALIAS names`)
  if (!cache.hasDjangoKeys)
    return obstacle(`CACHES["${alias}"] has a KEY_FUNCTION of its own, so its keys cannot be known`)
  if (/RedisCache$/.test(cache.backend)) return redisDraft(cache, alias, places)
  if (/memcached\./i.test(cache.backend)) return memcachedDraft(cache, alias)
  return obstacle(
    `CACHES["${alias}"] is ${cache.backend}, and the gateway shares Redis and memcached: ` +
      'a cache in the memory of a process is known to that process alone',
  )
}

function redisDraft(cache: DjangoCache, alias: string, { secrets }: Places): StoreDraft {
  const { options, location } = cache
  const [written = '', ...replicas] = location
  const option = (...names: string[]): string | undefined => {
    const value = names.map((name) => options[name]).find((one) => one !== undefined && one !== null)
    return value === undefined ? undefined : String(value)
  }
  const client = option('CLIENT_CLASS') ?? ''
  if (/Sentinel|Herd|Shard|Cluster/.test(client) || /sentinel|cluster/i.test(cache.backend)) {
    return obstacle(
      `CACHES["${alias}"] is reached by ${client || cache.backend}: write it by hand, as docs/stores.md has it`,
    )
  }
  if (option('COMPRESSOR') !== undefined && !/IdentityCompressor$/.test(option('COMPRESSOR') ?? '')) {
    return obstacle(`CACHES["${alias}"] compresses its values (COMPRESSOR), which the gateway does not read`)
  }
  const serializer = option('serializer', 'SERIALIZER') ?? ''
  const isJson = /json/i.test(serializer)
  if (!isJson && serializer !== '' && !/pickle|RedisSerializer$/i.test(serializer)) {
    return obstacle(`CACHES["${alias}"] writes its values by ${serializer}, which the gateway does not read`)
  }
  const password = option('password', 'PASSWORD')
  const username = option('username', 'USERNAME')
  const database = option('db', 'DB')
  const files: DraftFile[] = []
  const secret = (name: string, text: string): YamlEntry[1] => {
    const path = `${secrets}/${name}`
    files.push({ kind: 'secret', path, text: `${text}\n` })
    return fileReference(path)
  }
  const entries: YamlEntry[] = [
    ['backend', 'redis'],
    ['url', hasPassword(written) ? secret('cache-url', written) : written, 'LOCATION'],
    ...(username === undefined ? [] : [['username', username] as const]),
    ...(password === undefined ? [] : [['password', secret('cache-password', password)] as const]),
    ...(database === undefined ? [] : [['database', Number(database)] as const]),
    ...layout(cache),
    ['serializer', isJson ? 'json' : 'pickle', 'how Django writes the values'],
  ]
  const notes = replicas.length === 0 ? [] : ['of several LOCATIONs the gateway uses the first, which Django writes to']
  return { entries, files, isShared: true, notes }
}

function memcachedDraft(cache: DjangoCache, alias: string): StoreDraft {
  const [server = '', ...others] = cache.location
  if (others.length > 0)
    return obstacle(`CACHES["${alias}"] has several servers, and the gateway takes one of memcached`)
  return {
    entries: [['backend', 'memcached'], ['url', server, 'LOCATION'], ...layout(cache)],
    files: [],
    isShared: true,
    notes: [],
  }
}

function layout({ keyPrefix, version }: DjangoCache): YamlEntry[] {
  return [
    ...(keyPrefix === '' ? [] : [['key_prefix', keyPrefix, 'KEY_PREFIX'] as const]),
    ...(version === 1 ? [] : [['version', version, 'VERSION'] as const]),
  ]
}
