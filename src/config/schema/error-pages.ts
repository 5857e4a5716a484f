import { z } from 'zod'
import { errorTable } from '../../errors.ts'
import { text } from './scalars.ts'

const MAX_PAGE_CHARACTERS = 64 * 1024

const keys: ReadonlySet<string> = new Set([
  'default',
  ...Object.entries(errorTable).flatMap(([code, { status }]) => [code, String(status)]),
])

const placeholders: ReadonlySet<string> = new Set(['status', 'title', 'code', 'request_id', 'login', 'reasons'])

const keyPhrase = 'default, a status such as 404, or a code such as ERR_FORBIDDEN'

const page = text(`a page such as "\${file:pages/error.html}"`)
  .max(MAX_PAGE_CHARACTERS, { error: 'at most 64 KiB' })
  .refine((html) => html.includes('<'), { error: `a page, such as "\${file:pages/error.html}", not its file’s name` })
  .refine((html) => [...html.matchAll(/\{\{(.*?)\}\}/g)].every(([, name = '']) => placeholders.has(name)), {
    error: `a page in which only ${[...placeholders].map((name) => `{{${name}}}`).join(', ')} stand for something`,
  })

/** `error_pages`. */
export const errorPages = z
  .record(
    z.string().refine((key) => keys.has(key), { error: keyPhrase }),
    page,
    { error: `a mapping of pages: ${keyPhrase}` },
  )
  .default({})
  .describe('HTML for people instead of the built-in error pages, by code, status, or default')
