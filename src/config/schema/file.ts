import { z } from 'zod'
import { errorPages } from './error-pages.ts'
import { limits } from './limits.ts'
import { admin, listen, logging, probes, shutdown } from './listeners.ts'
import { mode, routes } from './routes.ts'
import { choice, count, list, mapping, text } from './scalars.ts'
import { session } from './session.ts'
import { keys, login, signing } from './signing.ts'
import { caches, database } from './stores.ts'
import { upstreams } from './upstreams.ts'

/**
 * The whole file: its form, its defaults, and what each key is for. What one part says about another is not here but in
 * `checks/`, so that a mistake in one place does not hide those in others.
 */
export const fileSchema = mapping({
  version: z.literal(1, { error: 'the number 1' }).describe('Of this format'),
  mode: mode().default('enforce').describe('observe = let everything pass and log what enforce would have done'),
  listen,
  hosts: list(text('a host'), 'a list of hosts')
    .default([])
    .describe('Served hosts; empty = those of the routes, or any'),
  workers: z
    .union([count(1, 1024), choice(['auto'])], { error: 'a whole number from 1 to 1024, or auto' })
    .default(1)
    .describe('Processes that share the listeners; auto = one for each core'),
  trusted_proxies: list(text('a CIDR such as 10.0.0.0/8, or the word unix'), 'a list of CIDRs')
    .default([])
    .describe('Peers whose Forwarded and X-Forwarded-* headers are believed'),
  session,
  database,
  caches,
  keys,
  signing,
  login,
  upstreams,
  routes,
  limits,
  error_pages: errorPages,
  admin,
  probes,
  logging,
  shutdown,
}).describe('Configuration of sessiongate')

/** The file after substitution and schema: snake_case, defaults filled in, durations in ms, sizes in bytes. */
export type FileConfig = z.output<typeof fileSchema>

/** One entry of `routes`. */
export type FileRoute = FileConfig['routes'][number]

/** `database`, at the top or under `session.read_also`. */
export type FileDatabase = FileConfig['database']

/** One entry of `caches`. */
export type FileCache = FileConfig['caches'][string]
