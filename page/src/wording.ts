/**
 * Text of strangers as it can be shown: nothing in it turns the direction of what follows, breaks the line, or is
 * invisible. (That it is no HTML is seen to where it is put into the page.)
 */
export function plainly(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

/** `3 sessions`, `1 session`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

/** `2 d 3 h`, `4 min`, `12 s`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const parts = [
    { amount: Math.floor(whole / 86_400), unit: 'd' },
    { amount: Math.floor(whole / 3_600) % 24, unit: 'h' },
    { amount: Math.floor(whole / 60) % 60, unit: 'min' },
    { amount: whole % 60, unit: 's' },
  ]
  const first = parts.findIndex(({ amount }) => amount > 0)
  if (first === -1) return '0 s'
  const shown = parts.slice(first, first + 2).filter(({ amount }) => amount > 0)
  return shown.map(({ amount, unit }) => `${amount} ${unit}`).join(' ')
}

/** Three digits that matter; `–` for what is not known. */
export function numberText(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–'
  return value.toLocaleString('en', value >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 })
}

export function millisText(seconds: number | null | undefined): string {
  return seconds === null || seconds === undefined ? '–' : `${numberText(seconds * 1000)} ms`
}

/** In the reader's own time zone: `14:03:07`, with the date where it is another day. */
export function timeText(iso: string, now = new Date()): string {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return iso
  const time = at.toLocaleTimeString('en-GB')
  return at.toDateString() === now.toDateString() ? time : `${at.toLocaleDateString('en-CA')} ${time}`
}

/** `14:03`, in the reader's own time zone. */
export function minuteText(iso: string): string {
  return new Date(iso).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
}

/** Why a request was let in or not, as the gateway's words have it. */
export function reasonText(reason: string): string {
  const [word = '', ...rest] = reason.split(';')
  const told = reasons[word]
  return told === undefined ? plainly(reason) : [told, ...rest.map((text) => text.trim())].join('; ')
}

const reasons: Readonly<Record<string, string>> = {
  public: 'the route asks for nothing',
  user: 'somebody is logged in',
  rule: 'the rule of the route decides',
  no_session: 'there is no session',
  missing_key: 'the session lacks a key that the route requires',
  rule_error: 'the rule of the route could not be evaluated',
}

/**
 * What somebody has typed as a value: JSON where it is JSON, else the text as it stands. A number that would come out as
 * another one is text too: by what it is rounded to, other sessions would be found, and ended.
 */
export function typedValue(text: string): unknown {
  try {
    return JSON.parse(text, (_, value: unknown) => {
      const isRounded =
        typeof value === 'number' && (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER)
      if (isRounded) throw new RangeError('not that number')
      return value
    })
  } catch {
    return text
  }
}
