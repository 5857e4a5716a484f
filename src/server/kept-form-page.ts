import { type FormField, parseFormBody } from '../http/form-body.ts'
import type { EpochMs } from '../lib/clock.ts'
import { type Answer, escaped, localAnswer, ownPage } from './answer.ts'
import type { KeptForm } from './kept-form-cookies.ts'

export interface PageLinks {
  /** Where the form goes. */
  readonly action: string
  /** Where somebody goes who does not want it sent. */
  readonly back: string
  readonly now: EpochMs
}

/** It sends its form to the own origin, and does nothing else. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** `same-origin`: without any Referer a browser says `Origin: null` too, and apps take the form for a forged one. */
const headers = ['X-Content-Type-Options', 'nosniff', 'Referrer-Policy', 'same-origin']

const FIELDS_NAMED = 12
const LONGEST_NAME = 60

/** Asks whether the form shall be sent. Values are in it and are not shown: one of them may be a password. */
export function keptFormPage(form: KeptForm, { action, back, now }: PageLinks): Answer {
  const fields = parseFormBody(form.body) ?? []
  const hidden = fields.map(
    ([name, value]) => `  <input type="hidden" name="${attribute(name)}" value="${attribute(value)}">\n`,
  )
  const minutes = Math.max(0, Math.round((now - form.keptAt) / 60_000))
  const text = ownPage(
    'Send your form?',
    `<h1>Send your form?</h1>
<p>You were no longer logged in when you sent a form to <code>${escaped(form.target)}</code>, ${ago(minutes)}. It was kept, and
nothing has happened with it yet.${namesOf(fields)}</p>
<form method="post" action="${escaped(action)}" accept-charset="utf-8">
${hidden.join('')}  <button>Send it now</button>
</form>
<p><a href="${escaped(back)}">Do not send it</a></p>
`,
  )
  return localAnswer(200, ['Content-Security-Policy', POLICY, 'Vary', 'Cookie', ...headers], {
    type: 'text/html; charset=utf-8',
    text,
  })
}

function ago(minutes: number): string {
  if (minutes === 0) return 'a moment ago'
  return minutes === 1 ? 'a minute ago' : `${minutes} minutes ago`
}

function namesOf(fields: readonly FormField[]): string {
  const names = [...new Set(fields.map(([name]) => name))]
  if (names.length === 0) return ''
  const shown = names.slice(0, FIELDS_NAMED).map((name) => `<code>${escaped(name.slice(0, LONGEST_NAME))}</code>`)
  const more = names.length > FIELDS_NAMED ? ` and ${names.length - FIELDS_NAMED} more` : ''
  return ` It has the fields ${shown.join(', ')}${more}.`
}

/** A reader of HTML makes one line break of CR and LF, unless they are written as what they are. */
function attribute(text: string): string {
  return escaped(text).replace(/[\r\n]/g, (character) => `&#${character.charCodeAt(0)};`)
}
