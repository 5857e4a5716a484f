/** The code that the system or OpenSSL gives a failure, such as `ENOENT`; `unreadable` where there is none. */
export function errorCodeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
}
