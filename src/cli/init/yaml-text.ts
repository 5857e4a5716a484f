/** A value of the file: text, a number, a word of YAML, a list, or what stands somewhere else. */
export type YamlValue = string | number | boolean | null | readonly string[] | Reference | References

/** `${file:…}` or `${NAME}`: what a secret is in a configuration. */
export interface Reference {
  readonly reference: string
}

/** A list of them. */
export interface References {
  readonly references: readonly string[]
}

/** The text of a file. */
export function fileReference(path: string): Reference {
  return { reference: `\${file:${path}}` }
}

export type YamlEntry = readonly [key: string, value: YamlValue, comment?: string]

/** Names, paths, addresses, ages: nothing that YAML takes for a number, a word or a mapping. */
const PLAIN = /^(?:[A-Za-z_/][\w./@-]*(?::[\w./@-]+)*|\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?|\d+[dhms])$/
const WORDS = /^(?:true|false|null|yes|no|on|off|y|n)$/i

/** `name:` and its entries below it, comments in one column; '' without entries. */
export function yamlSection(name: string, entries: readonly YamlEntry[]): string {
  if (entries.length === 0) return ''
  const written = entries.map(([key, value, comment]) => ({ text: `  ${key}: ${yamlValue(value)}`, comment }))
  const column = Math.min(60, Math.max(...written.map(({ text }) => text.length)) + 2)
  const lines = written.map(({ text, comment }) =>
    comment === undefined ? text : `${text.padEnd(column)}${text.length >= column ? ' ' : ''}# ${comment}`,
  )
  return `${name}:\n${lines.join('\n')}\n`
}

/** A value in one line that is read again as what it was; a `$` in it stands for itself. */
export function yamlValue(value: YamlValue): string {
  if (typeof value === 'string') return textValue(value)
  if (value === null || typeof value !== 'object') return String(value)
  if ('references' in value) return `[${value.references.map((reference) => JSON.stringify(reference)).join(', ')}]`
  if ('reference' in value) return JSON.stringify(value.reference)
  return `[${value.map(textValue).join(', ')}]`
}

function textValue(text: string): string {
  if (PLAIN.test(text) && !WORDS.test(text)) return text
  const quoted = JSON.stringify(text.replaceAll('$', '$$$$'))
  // JSON leaves these as they are, and YAML reads none of them in a file.
  return quoted.replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, escaped)
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
