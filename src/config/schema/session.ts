import { z } from 'zod'
import { cookieName, name, sessionPath } from './names.ts'
import { age, choice, count, duration, flag, list, mapping, nullable, secret, size, text, textLike } from './scalars.ts'
import { databaseKeys } from './stores.ts'

const COOKIE_PATH = /^\/[!-:<-~]*$/
const COOKIE_DOMAIN = /^\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/

const cookie = {
  cookie_name: cookieName().default('sessionid').describe('SESSION_COOKIE_NAME'),
  cookie_path: textLike(COOKIE_PATH, 'a path that begins with "/"').default('/').describe('SESSION_COOKIE_PATH'),
  cookie_domain: nullable(textLike(COOKIE_DOMAIN, 'a domain such as example.com'))
    .prefault(null)
    .describe('SESSION_COOKIE_DOMAIN; null = the host alone'),
  cookie_secure: z
    .union([z.literal('auto'), z.boolean()], { error: 'auto, true or false' })
    .default('auto')
    .describe('SESSION_COOKIE_SECURE; auto = when the browser’s side is https'),
  cookie_httponly: flag().default(true).describe('SESSION_COOKIE_HTTPONLY'),
  cookie_samesite: z
    .union([z.enum(['Lax', 'Strict', 'None']), z.literal(false)], { error: 'Lax, Strict, None or false' })
    .default('Lax')
    .describe('SESSION_COOKIE_SAMESITE; false = leave the attribute out'),
  cookie_age: age().prefault('14d').describe('SESSION_COOKIE_AGE; a bare number is seconds'),
}

const upkeep = {
  local_cache: nullable(
    mapping({
      max_age: duration().prefault('5s').describe('For so long at most; it bounds memory'),
      max_entries: count(1, 10_000_000).default(100_000).describe('So many at most; 64 MiB is another bound'),
    }),
  )
    .prefault({})
    .describe('Sessions kept in the process where the store tells of every change; null = each request asks the store'),
  clear_expired: nullable(
    mapping({
      every: duration().prefault('1h').describe('How often'),
      batch: count(1, 100_000).default(1000).describe('Rows deleted in one step'),
    }),
  )
    .prefault({})
    .describe('Deletes expired sessions; null = never, because something else does'),
}

const readAlso = mapping({
  engine: choice(['db', 'cache', 'cached_db', 'file']).describe('Where the sessions are that the engine above lacks'),
  move: flag()
    .default(true)
    .describe('A session moves to the engine above at its first change; false = it stays, others move the other way'),
  cache_alias: name().default('default').describe('A name under caches'),
  file_path: nullable(text('a path')).prefault(null).describe('Folder of the engine file; null = the temporary one'),
  database: databaseKeys().optional().describe('What db and cached_db stand on; left out = the database at the top'),
})

/** `session`: Django's setting names without `SESSION_`, lower case, and some of our own. */
export const session = mapping({
  engine: choice(['db', 'cache', 'cached_db', 'file', 'signed_cookies'])
    .default('db')
    .describe('SESSION_ENGINE, by the last word of its path'),
  cache_alias: name().default('default').describe('SESSION_CACHE_ALIAS: a name under caches'),
  file_path: nullable(text('a path')).prefault(null).describe('SESSION_FILE_PATH; null = the temporary directory'),
  read_also: nullable(readAlso)
    .prefault(null)
    .describe('A second engine to look in, while sessions move from it to the first'),
  ...cookie,
  expire_at_browser_close: flag().default(false).describe('SESSION_EXPIRE_AT_BROWSER_CLOSE'),
  save_every_request: flag().default(false).describe('SESSION_SAVE_EVERY_REQUEST'),
  serializer: choice(['json']).default('json').describe('SESSION_SERIALIZER'),
  secret_key: secret()
    .optional()
    .describe('Django’s SECRET_KEY, to share its sessions; left out = made in ./var at first start'),
  secret_key_fallbacks: list(secret(), 'a list of secrets').default([]).describe('SECRET_KEY_FALLBACKS: verify only'),
  salt_class: text('the name of a class').default('SessionStore').describe('Django’s session class, part of the salt'),
  auth_key: text('a key of the session').default('userInfo').describe('Somebody is logged in when this key is truthy'),
  user_id: nullable(sessionPath()).prefault(null).describe('Path of the user’s id, such as userInfo.id'),
  user_index: flag()
    .default(false)
    .describe('Keeps account of which sessions are whose, so that those of a user are found without a search'),
  duplicate_cookies: choice(['last', 'refuse']).default('last').describe('What several session cookies mean'),
  expiry_dates: choice(['iso', 'seconds']).default('iso').describe('seconds = a project on Django before 4.1'),
  max_age: nullable(age()).prefault(null).describe('Absolute limit of a session’s life; null = none'),
  // No more than what is read again: every codec refuses a longer session unread (an inflate bomb looks like one).
  max_bytes: size(64, 1024 * 1024)
    .prefault('64KiB')
    .describe('Of the JSON, before compression; at most 1MiB'),
  store_timeout: duration().prefault('1s').describe('After this long the store counts as down: 503'),
  ...upkeep,
})
  .prefault({})
  .describe('The session: its cookie, its keys and where it is kept')
