import type { KeyView } from './admin/views.ts'
import type { Config, SigningKeyConfig } from './config/config.ts'
import { fingerprint } from './config/fingerprint.ts'
import type { EpochMs } from './lib/clock.ts'
import { LastChange } from './lib/last-change.ts'
import type { KeyReads } from './session-parts.ts'

/** Since when this process signs with the keys that it signs with. */
export class SigningHistory {
  readonly assertions: LastChange
  readonly sessions: LastChange

  constructor(clock: () => EpochMs) {
    this.assertions = new LastChange(clock)
    this.sessions = new LastChange(clock)
  }

  /** The configuration is in force. */
  note({ signing: { keys }, session: { secretKey } }: Config): void {
    const [first] = keys.generated ? [] : keys.keys
    this.assertions.note(fingerprint([first?.id, first && secretOf(first)]))
    this.sessions.note(fingerprint(secretKey))
  }
}

/** With their ages, as far as they are known. `now`: for these. */
export function keyViews(
  { signing, session }: Config,
  { history, reads, now }: { readonly history: SigningHistory; readonly reads: KeyReads; readonly now: EpochMs },
): KeyView[] {
  const { keys, algorithm } = signing
  const listed = keys.generated ? [{ id: 'generated', createdAt: undefined }] : keys.keys
  const assertions = listed.map(
    ({ id, createdAt }, at): KeyView => ({
      ...{ id, purpose: 'assertions', algorithm, signs: at === 0 },
      created: createdAt === undefined ? null : timeOf(createdAt).slice(0, 10),
      age_seconds: createdAt === undefined ? null : Math.max(0, Math.round((now - createdAt) / 1000)),
      signs_since: at === 0 ? timeOrNull(history.assertions.since) : null,
      sessions_read: null,
      counted_since: null,
    }),
  )
  const names = ['current' as const, ...session.secretKeyFallbacks.map((_, at) => `fallback-${at + 1}` as const)]
  const sessions = names.map(
    (id, at): KeyView => ({
      ...{ id, purpose: 'sessions', algorithm: 'HMAC-SHA256', signs: reads.areSigned && at === 0 },
      created: null,
      age_seconds: null,
      signs_since: reads.areSigned && at === 0 ? timeOrNull(history.sessions.since) : null,
      sessions_read: reads.areSigned ? reads.countOf(id) : null,
      counted_since: reads.areSigned ? timeOf(reads.since) : null,
    }),
  )
  return [...assertions, ...sessions]
}

/** Those whose age the configuration tells. */
export function datedKeys({ signing: { keys } }: Config): { id: string; createdAt: EpochMs }[] {
  if (keys.generated) return []
  return keys.keys.flatMap(({ id, createdAt }) => (createdAt === undefined ? [] : [{ id, createdAt }]))
}

function secretOf(key: SigningKeyConfig) {
  return key.kind === 'secret' ? key.secret : key.privateKey
}

function timeOf(at: EpochMs): string {
  return new Date(at).toISOString()
}

function timeOrNull(at: EpochMs | undefined): string | null {
  return at === undefined ? null : timeOf(at)
}
