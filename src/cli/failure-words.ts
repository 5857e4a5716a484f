/** What failed, and what stood behind it, in one line; a cause whose words have just been said adds nothing. */
export function wordsOf(error: unknown): string {
  let words = ''
  for (let next = error; next !== undefined; next = next instanceof Error ? next.cause : undefined) {
    const message = next instanceof Error ? next.message : String(next)
    if (words === '') words = message
    else if (!words.endsWith(message)) words += `: ${message}`
  }
  return words
}
