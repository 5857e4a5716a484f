/** A part of the source in which a change that no test notices would be a hole. */
export interface MutationPart {
  readonly files: readonly string[]
  /** The only tests that are run: what a file promises, its own tests hold. Those that take longer stand last. */
  readonly tests: readonly string[]
  /** All tests are run against each change, since Stryker cannot read what one of them prints. Default false. */
  readonly isRunWhole?: boolean
  /** Tests, by a regular expression over their names, that take seconds each and are left out. */
  readonly leaveOut?: string
}

function part(
  files: readonly string[],
  tests: readonly string[],
  more: Pick<MutationPart, 'isRunWhole' | 'leaveOut'> = {},
): MutationPart {
  return {
    files: files.map((name) => `src/${name}.ts`),
    tests: tests.map((name) => `test/unit/${name}.test.ts`),
    ...more,
  }
}

export const mutationParts: Readonly<Record<string, MutationPart>> = {
  target: part(['http/target', 'http/path-readings', 'http/host'], ['http/target', 'http/host']),
  headers: part(
    ['http/headers', 'http/client-headers', 'http/hop-by-hop'],
    ['http/headers', 'http/client-headers', 'http/hop-by-hop'],
  ),
  redirects: part(['http/return-url', 'rules/next-guard'], ['http/return-url', 'rules/next-guard', 'rules/login'], {
    isRunWhole: true,
  }),
  cookies: part(['http/cookies', 'sessions/cookie'], ['http/set-cookies', 'http/cookies', 'sessions/cookie']),
  signing: part(['django/signing'], ['django/signing'], {
    leaveOut: 'one changed, missing or added character|no text throws',
  }),
  assertion: part(
    ['assertion/keys', 'assertion/issuer', 'assertion/plain-headers'],
    ['assertion/keys', 'assertion/issuer-reuse', 'assertion/plain-headers', 'assertion/issuer'],
    { leaveOut: 'every session data that Django could hold|no value can hold a byte|every JSON value makes' },
  ),
  writeback: part(
    ['commands', 'cut', 'expiry-header', 'limits', 'names', 'permission', 'refusal'].map((name) => `writeback/${name}`),
    ['commands', 'commands-set', 'cut', 'expiry-header', 'limits', 'permission'].map((name) => `writeback/${name}`),
  ),
}
