import type { Held } from './catalogue-rows.ts'

/** Twenty rules that make most attacks impossible, and the table or property that holds each. */
export const rules: Readonly<Record<string, { readonly rule: string; readonly held: readonly Held[] }>> = {
  R1: {
    rule: 'one canonical target, computed once; ambiguous ones are refused, not repaired',
    held: [
      ['unit/http/target.test.ts', 'is ambiguous and goes up unchanged where it is allowed'],
      ['security/generated/path-confusion.test.ts', 'rule path and sent path differ'],
    ],
  },
  R2: {
    rule: 'a request is public only if every reading of its path is',
    held: [['security/generated/path-confusion.test.ts', 'protected hits without a session']],
  },
  R3: {
    rule: 'header names are compared in lower case, with all that is no letter or digit as a hyphen',
    held: [
      [
        'unit/http/headers.test.ts',
        'a key is its own key, and holds nothing but lower-case letters, digits and hyphens',
      ],
      [
        'unit/http/client-headers.test.ts',
        'no foreign header survives under any spelling that an app behind CGI would mistake for ours',
      ],
    ],
  },
  R4: {
    rule: 'what Connection names goes first, then ours are added; hop-by-hop lines never pass, either way',
    held: [
      [
        'unit/http/hop-by-hop.test.ts',
        'cutting twice is cutting once, nothing new appears, and no named header is left',
      ],
      ['security/client-headers.test.ts', 'what Connection names goes, and ours stays'],
      ['security/client-headers.test.ts', 'an answer’s session headers never come down'],
    ],
  },
  R5: {
    rule: 'trailers are dropped both ways',
    held: [
      ['security/request-boundaries.test.ts', 'chunk extensions are taken out, and so are trailers'],
      ['unit/proxy/response-parser.test.ts', 'chunks are read to their end, and no further; trailers are nobody’s'],
    ],
  },
  R6: {
    rule: 'bodies are framed anew: a single plain length that is kept, else chunks',
    held: [
      [
        'unit/http/framing.test.ts',
        'whatever the lines, a request is refused or has one framing that a second look confirms',
      ],
      ['unit/proxy/request-body.test.ts', 'a body that will not come whole never ends'],
    ],
  },
  R7: {
    rule: 'a connection to an app on which anything was irregular is closed, not kept',
    held: [
      ['integration/proxy-connections.test.ts', 'the connection is closed, and the next request has a new one'],
      ['integration/proxy-lean.test.ts', 'an answer is passed on, and its connection is closed'],
      [
        'integration/proxy-broken-answers.test.ts',
        'property: whatever an upstream sends, the answer is whole or an error, and the upstream stays usable',
      ],
    ],
  },
  R8: {
    rule: 'WebSocket handshakes are our own: no byte before a verified 101, a deadline, Origin',
    held: [
      ['integration/proxy-handshake.test.ts', 'an upstream that only claims to switch gets no byte of the client'],
      ['integration/proxy-handshake.test.ts', 'a handshake that is not answered ends at its deadline'],
      ['security/websockets.test.ts', 'a page of another origin opens none'],
    ],
  },
  R9: {
    rule: 'nobody is a trusted proxy unless the file names him',
    held: [['unit/http/forwarded.test.ts', 'a stranger changes nothing, not one of a thousand random headers']],
  },
  R10: {
    rule: 'every way of failing denies',
    held: [
      ['e2e/contract-decisions.test.ts', '`allow`: session and request decide, and an expression that fails is a no'],
      ['security/stores-and-engines.test.ts', 'without its table there is 503, never a login and never a log-out'],
      ['security/published-weaknesses.test.ts', 'A18: whatever step fails, nobody is let in'],
    ],
  },
  R11: {
    rule: 'one session cookie, of few characters and a bounded length, before any store is asked',
    held: [
      ['unit/django/session-key.test.ts', 'as a key: '],
      [
        'security/stores-and-engines.test.ts',
        'a key that is a path, a query or an object’s own name finds nothing and harms nothing',
      ],
    ],
  },
  R12: {
    rule: 'unknown keys are never adopted; a new identity has a new key; the end wins over a save',
    held: [
      ['security/session-races.test.ts', 'a key that the client made up is never adopted, whatever its shape'],
      ['security/session-races.test.ts', 'another identity gets another key, the same one in other words does not'],
      ['security/session-races.test.ts', 'a log-out is final against two hundred slow answers that write'],
    ],
  },
  R13: {
    rule: 'an answer with a session varies by cookie and is private',
    held: [
      [
        'unit/http/cache-headers.test.ts',
        'doing it twice is doing it once, one line is left, and no shared cache may keep the answer',
      ],
      ['security/paths-and-rules.test.ts', 'an answer with a session is private'],
    ],
  },
  R14: {
    rule: 'what is signed has one reading',
    held: [
      [
        'unit/assertion/issuer.test.ts',
        'every session data that Django could hold arrives as it is, in valid header bytes',
      ],
      ['security/published-weaknesses.test.ts', 'B08: no two lists of plain headers have the same digest'],
    ],
  },
  R15: {
    rule: 'every parser has a limit of bytes, depth, count and time',
    held: [
      [
        'unit/django/session-data.test.ts',
        'a text too long to be a session is refused without looking at its signature',
      ],
      ['unit/django/json.test.ts', 'a text is refused by its length before it is read'],
      ['unit/config/source.test.ts', 'a file of many values is given up'],
      ['unit/writeback/limits.test.ts', 'test('],
    ],
  },
  R16: {
    rule: 'nothing is unpacked but sessions that Django has packed, to a limit',
    held: [
      [
        'security/published-weaknesses.test.ts',
        'E12: nothing unpacks what passes; what is unpacked is our own or Django’s, and bounded',
      ],
      ['unit/django/session-data.test.ts', 'a bomb never gets as far as the memory'],
    ],
  },
  R17: {
    rule: 'a file is written aside, synced, renamed, and its folder synced, before anything is acknowledged',
    held: [
      [
        'integration/file-crash.test.ts',
        'everything is durable before it is acknowledged: file, then name, then folder',
      ],
    ],
  },
  R18: {
    rule: 'calls to stores have deadlines, bounds and a breaker, and no write is sent twice',
    held: [
      ['unit/sessions/guarded-engine.test.ts', 'a store that hangs costs'],
      ['unit/sessions/guarded-engine.test.ts', 'no more than so many operations are under way'],
      ['e2e/store-faults-writes.test.ts', 'the outcome is unknown, and it is not sent again'],
    ],
  },
  R19: {
    rule: 'labels and fields come from closed sets, and secrets do not print',
    held: [
      [
        'unit/observe/metrics.test.ts',
        'hostile traffic adds no series beyond the closed sets, and none of its words appear',
      ],
      ['unit/config/secret.test.ts', 'a secret does not show'],
    ],
  },
  R20: {
    rule: 'what is not written is the safe setting, and what opens a door is told at the start',
    held: [
      ['unit/config/resolution.test.ts', 'the smallest file has every default'],
      ['unit/config/checks/warnings.test.ts', 'test('],
    ],
  },
}
