import { type ErrorCode, errorTable } from '../errors.ts'

/** What a page may show of an error, as HTML. */
export interface ErrorPageValues {
  readonly status: string
  readonly title: string
  readonly code: string
  readonly request_id: string
  /** Address of the login; empty where no login helps. */
  readonly login: string
  /** `<li>…</li>` for each thing that may be the cause; mostly empty. */
  readonly reasons: string
}

/** The operator's page for an error, filled in; undefined where there is none. */
export type ErrorPages = (code: ErrorCode, values: ErrorPageValues) => string | undefined

/**
 * Compiles the pages that an operator has written. A page is called by a code (`ERR_FORBIDDEN`), a status (`403`) or
 * `default`; the nearest one counts. `{{status}}` and the like stand for the values.
 */
export function compileErrorPages(texts: ReadonlyMap<string, string>): ErrorPages {
  const fills = new Map<ErrorCode, (values: ErrorPageValues) => string>()
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const text = texts.get(code) ?? texts.get(String(errorTable[code].status)) ?? texts.get('default')
    if (text !== undefined) fills.set(code, compilePage(text))
  }
  return (code, values) => fills.get(code)?.(values)
}

/** What is written into a page is not looked at again. */
function compilePage(text: string): (values: ErrorPageValues) => string {
  const pieces = text.split(/\{\{(status|title|code|request_id|login|reasons)\}\}/)
  return (values) => pieces.map((piece, at) => (at % 2 === 0 ? piece : values[piece as keyof ErrorPageValues])).join('')
}
