// long because it is one list, which is read from top to bottom
/** A file below `test/`, and a piece of the title of the test in it. */
export type Held = readonly [file: string, title: string]

/** One weakness that was published for a system of this kind, and what became of it here. */
export interface Row {
  /** Records of it, and in which program it was. */
  readonly published: string
  /** The tests that hold it. */
  readonly held?: readonly Held[]
  /** Why it does not apply. */
  readonly closed?: string
}

const own = 'security/published-weaknesses.test.ts'
const paths: Held = ['security/paths-and-rules.test.ts', 'no spelling of a guarded path gets past its guard']
const confusion: Held = ['security/generated/path-confusion.test.ts', 'protected hits without a session']
const spoofing: Held = ['security/generated/header-spoofing.test.ts', 'that an app believes']
const invented: Held = [
  'security/client-headers.test.ts',
  'a thousand invented addresses change no decision, no redirect and no log line',
]
const boundaries: Held = ['security/request-boundaries.test.ts', 'and nothing behind it is served']
const strangers = (promise: string): Held => ['security/generated/strangers.test.ts', promise]
const hosts: Held = [
  'security/paths-and-rules.test.ts',
  'a host is matched as a whole, without case and port, and `*` is one label',
]

export const rows: Readonly<Record<string, Row>> = {
  A01: {
    published: 'CVE-2025-54576, oauth2-proxy: a rule saw path and query',
    held: [['security/paths-and-rules.test.ts', 'the query never counts, and goes up byte for byte'], paths],
  },
  A02: { published: 'CVE-2026-41059, oauth2-proxy: a fragment was part of the rule’s path', held: [paths, confusion] },
  A06: {
    published: 'CVE-2025-32431, CVE-2025-47952, CVE-2025-66490, Traefik: dot segments and encoded characters',
    held: [paths, confusion],
  },
  A07: {
    published:
      'CVE-2026-40912, CVE-2026-48020, CVE-2026-67309, CVE-2026-65600, Traefik: a prefix cut off after the check',
    held: [['security/rewritten-paths.test.ts', 'behind a prefix never reaches what is guarded'], confusion],
  },
  A09: {
    published: 'CVE-2026-27587, CVE-2026-27588, Caddy: no case folding beside %xx, or in long lists of hosts',
    held: [[own, 'A09: each of 150 hosts is one host in any case'], confusion],
  },
  A11: {
    published: 'CVE-2019-9901, Envoy: nothing was normalised before the rules',
    held: [['security/generated/path-confusion.test.ts', 'rule path and sent path differ']],
  },
  A12: {
    published: 'CVE-2026-22031, CVE-2026-2880, CVE-2026-33808, fastify: encoded letters, //secret, ;parameters',
    held: [paths, confusion],
  },
  A14: {
    published: 'CVE-2026-112712, middie: a path joined otherwise than the router does',
    held: [[own, 'A14: a guarded path is guarded with and without its final slash, however both rules are written']],
  },
  A15: {
    published: 'CVE-2026-85124, CVE-2026-120213, fastify: backslashes, and parameters put in decoded',
    held: [paths, ['security/rewritten-paths.test.ts', 'nor does anything made of their pieces']],
  },
  A17: {
    published: 'CVE-2026-33494, CVE-2021-32701, Oathkeeper: traversal, and patterns without an end',
    held: [
      ['unit/rules/patterns.test.ts', 'a path pattern with '],
      ['unit/rules/patterns.test.ts', 'is refused'],
    ],
  },
  A18: {
    published: 'CVE-2021-32637, Authelia: a URI that could not be parsed was let through',
    held: [[own, 'A18: whatever step fails, nobody is let in']],
  },
  A19: {
    published: 'CVE-2026-48794, Authelia; CVE-2026-55602, http-proxy-middleware: hosts compared in part',
    held: [hosts, ['unit/http/host.test.ts', 'what is accepted is one host for the URL standard as well']],
  },
  A20: { published: 'CVE-2025-29927, Next.js: an internal header was believed from clients', held: [spoofing] },
  A21: {
    published: 'CVE-2026-73552, Envoy: a rule on a header failed open on bytes above ASCII',
    held: [['unit/rules/expressions.test.ts', 'a header that is unclear makes a no']],
  },
  A22: {
    published: 'CVE-2026-73547, Envoy; CVE-2026-71324, Traefik: no path, and CONNECT',
    held: [boundaries, ['security/process-survival.test.ts', 'CONNECT behind a request that is under way']],
  },
  A23: {
    published: 'mod_auth_openidc 2026-08: forged claims passed on OPTIONS and public paths',
    held: [['security/client-headers.test.ts', 'none of ours and none about earlier hops passes on '], spoofing],
  },
  A25: {
    published: 'CVE-2026-40574, oauth2-proxy: two @ in an address of e-mail',
    closed: 'No rule is about e-mail addresses: `allow` compares values as a whole.',
  },
  A26: {
    published: 'GHSA-7jmw-8259-q9jx, Traefik: a mapped address was none of IPv4',
    held: [
      ['unit/http/addresses.test.ts', 'an address is in a network exactly if its first bits are those of the network'],
      ['unit/http/addresses.test.ts', 'IPv4 on a dual-stack socket'],
    ],
  },
  A27: {
    published: 'GHSA-x883-2vmg-xwf7, Authelia: a change of access took long',
    held: [
      ['security/reload-races.test.ts', 'a rule counts for the next request on every connection'],
      ['e2e/local-cache.test.ts', 'lets nobody in again who was deleted past it, not for one request'],
      [
        'security/websockets.test.ts',
        'a log-out anywhere in this process ends what the route no longer admits, with 1008',
      ],
    ],
  },

  B03: {
    published: 'CVE-2026-30851, Caddy: the client’s header stayed where the answer had none',
    held: [
      ['security/client-headers.test.ts', 'a plain header that the session has no value for does not come at all'],
    ],
  },
  B04: {
    published: 'CVE-2024-45410, CVE-2026-29054, Traefik; CVE-2022-31813, Apache: Connection named the proxy’s headers',
    held: [
      ['security/client-headers.test.ts', 'what Connection names goes, and ours stays'],
      ['security/generated/header-spoofing.test.ts', 'took away or changed'],
    ],
  },
  B05: {
    published:
      'CVE-2026-39858, CVE-2026-35051, CVE-2026-54764, CVE-2024-52003, Traefik; CVE-2026-33495, Oathkeeper: X-Forwarded-* of anybody',
    held: [
      invented,
      spoofing,
      ['unit/http/forwarded.test.ts', 'a stranger changes nothing, not one of a thousand random headers'],
    ],
  },
  B06: {
    published: 'CVE-2026-77776, Headroom: a header of the client was the identity',
    held: [['integration/verifiers.test.ts', 'takes what the gateway signed for this app, and nothing else']],
  },
  B08: {
    published: 'CVE-2026-6873, Django: two inputs of a signature could be one',
    held: [[own, 'B08: no two lists of plain headers have the same digest']],
  },
  B10: {
    published: 'CVE-2026-41181, Traefik: cookies went to the service for error pages',
    held: [
      ['security/generated/header-spoofing.test.ts', 'sessionid'],
      ['e2e/error-pages.test.ts', 'people get the pages that the operator has written'],
    ],
  },
  B11: {
    published: 'CVE-2024-39315, Pomerium: tokens in the user’s data',
    held: [
      [
        'unit/assertion/issuer.test.ts',
        'the app is told the keys of include, else all that do not begin with an underscore',
      ],
    ],
  },
  B12: {
    published: 'GHSA-w5w5-487h-qv8q, Envoy: characters of values split a request',
    held: [
      ['security/client-headers.test.ts', 'values that would break a line or a log stay one escaped value'],
      [
        'unit/assertion/plain-headers.test.ts',
        'no value can hold a byte that ends a header, and every string comes back whole',
      ],
    ],
  },
  B13: {
    published: 'CVE-2026-33525, Authelia; mod_auth_openidc 2026-05: markup in pages',
    held: [['security/paths-and-rules.test.ts', 'as problem or page, each with its id']],
  },

  C02: {
    published: 'CVE-2021-21291, oauth2-proxy; mod_auth_openidc 2026-05: hosts that only end alike',
    held: [
      ['unit/http/return-url.test.ts', 'is no safe place to return to'],
      ['security/generated/redirects.test.ts', 'lead off the own origin'],
    ],
  },
  C04: { published: 'CVE-2024-52003, Traefik: a redirect built from a header', held: [invented] },
  C05: {
    published: 'mod_auth_openidc 2026-05: an address cut before it was checked',
    held: [
      ['unit/http/return-url.test.ts', 'one byte more is left out whole'],
      [
        'security/login-way.test.ts',
        'a return address that leads elsewhere is never written, and never reaches the login',
      ],
    ],
  },
  C06: {
    published: 'loops of redirects',
    held: [
      ['security/stores-and-engines.test.ts', 'without its table there is 503, never a login and never a log-out'],
      ['security/kept-forms.test.ts', 'no spelling of its own address leads from there to there'],
      ['e2e/login-loop.test.ts', 'test('],
    ],
  },

  D01: {
    published: 'CVE-2026-58044, Node: headers past the limit were hidden and still framed the body',
    held: [
      [own, 'D01: however many header lines there are, the one that frames the body is seen or the request refused'],
    ],
  },
  D02: {
    published:
      'CVE-2022-32213, -32214, -32215, -35256, CVE-2023-30589, CVE-2024-27982, CVE-2025-23167, CVE-2021-22959, -22960, CVE-2020-8287, CVE-2020-8201, Node',
    held: [boundaries, ['security/generated/request-streams.test.ts', 'disagreements']],
  },
  D03: {
    published: 'CVE-2026-23527, h3; CVE-2019-16786, waitress; CVE-2020-10108, -10109, Twisted: spellings of chunked',
    held: [
      [own, 'D03: chunked is read in one spelling, with a length beside it or not'],
      ['unit/http/framing.test.ts', 'chunked in no spelling but its own, with a length beside it or not'],
    ],
  },
  D04: {
    published:
      'CVE-2025-55315, Kestrel; CVE-2025-22871, Go; GHSA-fghv-69vj-qj49, netty; CVE-2024-22019, Node; CVE-2025-43859, h11: chunk extensions',
    held: [boundaries, ['security/request-boundaries.test.ts', 'over 16 KiB of chunk extensions end the request']],
  },
  D07: {
    published: 'CVE-2024-23326, Envoy: an upgrade answered with 200 passed for a switch',
    held: [
      ['security/websockets.test.ts', 'no byte of the client goes up before the app has agreed'],
      ['integration/proxy-handshake.test.ts', 'an upstream that does not switch has given an answer'],
    ],
  },
  D10: {
    published: 'CVE-2026-1525, CVE-2026-1527, GHSA-8xcm-r25x-g524, GHSA-m8rv-5g2x-5cg5, undici',
    held: [
      [
        'unit/proxy/request-head.test.ts',
        'property: whatever is in the lines, there are as many as were given, or none',
      ],
      [own, 'F16: of undici nothing is used that keeps, repeats or follows'],
    ],
  },
  D11: {
    published: 'CVE-2025-32996, CVE-2025-32997, http-proxy-middleware: a body written twice',
    held: [
      ['security/transfers.test.ts', '50 MiB up, with '],
      ['security/generated/request-streams.test.ts', 'disagreements'],
    ],
  },
  D12: {
    published: 'CVE-2023-25690, Apache; CVE-2018-12116, Node: a decoded line break in the line that goes up',
    held: [
      ['security/generated/path-confusion.test.ts', 'rule path and sent path differ'],
      ['unit/proxy/request-head.test.ts', 'a head is never written'],
    ],
  },
  D13: {
    published: 'HTTP/1.1 must die, 2025: desynchronised by Expect and early answers',
    held: [
      [
        'security/request-boundaries.test.ts',
        'Expect is answered by the gateway when the body is wanted, and never goes up',
      ],
      [
        'integration/proxy-streaming.test.ts',
        'an early answer to a large upload is delivered, the upload stops, and both sides are closed',
      ],
      ['security/request-boundaries.test.ts', 'nothing is served: the parser loses what stands in the same packet'],
    ],
  },
  D14: {
    published: 'CVE-2019-16785, CVE-2019-16792, waitress; CVE-2026-42926, CVE-2026-95101, CVE-2026-1642, nginx',
    held: [['security/generated/request-streams.test.ts', 'disagreements']],
  },
  D16: {
    published: 'floods of 1xx answers, and a 101 that nobody asked for',
    held: [
      ['security/app-answers.test.ts', 'an app that drips 1xx answers does not put the deadline off'],
      ['integration/proxy-answers.test.ts', 'up to 16 interim answers are told of, with their lines'],
      ['integration/proxy-answers.test.ts', 'an answer is refused and its connection closed'],
    ],
  },

  E02: {
    published: 'GHSA-9wwp-q7wq-jx35, secure-session: a cookie that was ended still worked',
    held: [
      [
        'security/stores-and-engines.test.ts',
        'a cookie that was logged out stays logged out, however often it is sent',
      ],
    ],
  },
  E03: {
    published: 'express-session 632 and 957, session-file-store 55; CVE-2015-3982, Django: a session came back',
    held: [
      ['e2e/logout-races.test.ts', 'assertLogoutsWin'],
      ['security/session-races.test.ts', 'a log-out is final against two hundred slow answers that write'],
    ],
  },
  E05: {
    published: 'CVE-2015-5143, CVE-2015-5963, CVE-2015-5964, Django: empty sessions by the million',
    held: [
      ['security/session-races.test.ts', 'a thousand random cookies write nothing'],
      ['e2e/session-cookies.test.ts', 'two thousand requests with made-up cookies store nothing'],
      strangers('sessions stored for strangers'),
    ],
  },
  E08: {
    published:
      'CVE-2026-35192, CVE-2026-6907, CVE-2014-1418, Django; CVE-2023-30861, CVE-2026-27205, Flask: no Vary, and shared caches',
    held: [
      ['security/paths-and-rules.test.ts', 'an answer with a session is private'],
      ['security/shared-cache.test.ts', 'in front never gives one user the page of another'],
    ],
  },
  E10: {
    published: 'CVE-2024-24814, mod_auth_openidc: a bomb of cookies',
    held: [
      ['unit/http/cookies.test.ts', 'four thousand cookies are read and cut whole'],
      ['unit/http/cookies.test.ts', 'twice as much Cookie takes no more than twice the steps'],
      boundaries,
    ],
  },
  E11: {
    published: 'CVE-2024-28176, jose; mod_auth_openidc 2026-05: what unpacks to more than there is memory',
    held: [
      ['unit/django/session-data.test.ts', 'a bomb never gets as far as the memory'],
      ['unit/django/session-data.test.ts', 'a bomb of well-formed JSON is malformed'],
    ],
  },
  E12: {
    published: 'CVE-2026-111497, Brotli',
    held: [
      [own, 'E12: nothing unpacks what passes; what is unpacked is our own or Django’s, and bounded'],
      ['security/transfers.test.ts', 'arrive byte for byte and encoded as they were'],
    ],
  },
  E13: {
    published: 'pickles that run code',
    held: [
      [
        'unit/django/pickle-fuzz.test.ts',
        'that would run code are still refused after any change of theirs that keeps the opcode',
      ],
    ],
  },
  E15: {
    published: 'CVE-2026-21717, V8: keys of JSON that collide',
    held: [
      ['unit/django/json.test.ts', 'a text is refused by its length before it is read'],
      [own, 'E15: the worst keys that fit into a session are read at once'],
    ],
  },
  E16: {
    published: 'mod_auth_openidc 2026-08: JSON that is no object, or too deep',
    held: [
      ['unit/django/session-data.test.ts', '32 levels are read, and written back'],
      ['unit/django/session-data.test.ts', 'no text throws, signed or not, compressed or not'],
    ],
  },
  E17: {
    published: 'dates after 2038 and beyond every calendar',
    held: [
      [
        'unit/django/expiry.test.ts',
        'whatever is stored and whenever it is read, the answer is a whole number inside the calendar',
      ],
    ],
  },
  E18: {
    published: 'CVE-2026-71326, Traefik; CVE-2026-33496, Oathkeeper: two keys of a cache that were one',
    held: [
      ['security/stores-keys.test.ts', 'nobody can choose a name that stands for the long name of another'],
      ['unit/sessions/local-cache.test.ts', 'two keys of one name are never both in memory'],
      ['unit/assertion/issuer-reuse.test.ts', 'an assertion is sent again only for the same key, login and content'],
    ],
  },
  E19: {
    published: 'CVE-2012-3458, Beaker; CVE-2026-106074, Node: weak ciphers and frozen randomness',
    held: [
      ['unit/django/session-key.test.ts', 'each character is one draw out of the 36 that Django uses'],
      ['unit/lib/secret-file.test.ts', 'a secret is made once, in a folder and a file of its owner alone'],
      ['unit/lib/sealed-box.test.ts', 'one bit, one character or one spelling other is not what was sealed'],
      ['security/kept-files.test.ts', 'a link in the place of a key is not followed'],
    ],
  },
  E20: {
    published: 'CVE-2022-23469, Traefik; CVE-2026-48615, Node; mod_auth_openidc 2026-07: secrets in logs',
    held: [
      strangers('secrets told'),
      ['security/secrets-commands.test.ts', 'no command tells a secret'],
      ['security/operator-api.test.ts', 'no secret of the file is in what is told of it'],
      ['security/secrets.test.ts', 'not one of them is in a log line, on stderr, in the metrics or on an error page'],
      [
        'security/stores-secrets.test.ts',
        'no password, no key and no value is in a log line, on stderr, in the metrics or on a page',
      ],
    ],
  },

  F01: {
    published:
      'CVE-2018-12122, CVE-2019-5737, CVE-2020-8251, Node; CVE-2026-26999, CVE-2026-22045, CVE-2026-25949, Traefik: who is slow without end',
    held: [
      [
        'security/one-connection.test.ts',
        'a client that asks for much and reads nothing holds no more than a few buffers, and is let go',
      ],
      ['faults/rows-47-48-connections.test.ts', 'cost at most 25 KiB each, and all of them are still served'],
      ['faults/rows-30-32-clients.test.ts', 'is let go when it has taken nothing for as long as the route allows'],
    ],
  },
  F02: {
    published: 'CVE-2026-26998, Traefik: an answer read without bound',
    held: [
      ['integration/proxy-answers.test.ts', 'a head of almost 32 KiB is read'],
      ['unit/proxy/answer-head.test.ts', 'a head is refused'],
      ['unit/config/loading.test.ts', 'test('],
    ],
  },
  F06: {
    published: 'CVE-2025-59466, Node: a stack that overflows past every catch',
    held: [
      [own, 'F06: what is nested ten thousand times is refused, not followed'],
      ['unit/django/json.test.ts', 'depth is counted along the way, not in sum'],
    ],
  },
  F07: {
    published: 'CVE-2026-21637, CVE-2026-48928, Node; CVE-2026-53622, CVE-2022-23632, Traefik: names in TLS',
    held: [
      [
        'integration/tls-listener.test.ts',
        'shows the certificate that is for the name, the exact before the wildcard, else its first',
      ],
    ],
  },
  F08: {
    published: 'CVE-2024-21536, http-proxy-middleware; CVE-2023-2968: a rejection that nobody handled',
    held: [
      ['security/process-survival.test.ts', 'a client that leaves at any byte of a request costs nothing that stays'],
      ['security/generated/request-streams.test.ts', 'disagreements'],
      [
        'integration/proxy-streaming.test.ts',
        'an abort at every stage leaves no connection, no listener and no rejection behind',
      ],
    ],
  },
  F10: {
    published: 'CVE-2026-53550, YAML: bombs of aliases and merge keys',
    held: [
      ['security/lifecycle.test.ts', 'alias bombs, merge keys and duplicate keys in the file are refused, quickly'],
      ['unit/config/source.test.ts', 'a file of aliases of aliases is given up after a hundred'],
    ],
  },
  F11: {
    published:
      'CVE-2022-21698, client_golang; CVE-2023-43810, OpenTelemetry; CVE-2022-24797, Pomerium: series without end',
    held: [
      strangers('series with a word of a stranger’s'),
      ['security/metric-series.test.ts', 'what strangers send adds no series'],
      ['security/secrets.test.ts', 'the series of the metrics stay as many as they are'],
      [
        'unit/observe/metrics.test.ts',
        'hostile traffic adds no series beyond the closed sets, and none of its words appear',
      ],
    ],
  },
  F12: {
    published: 'CVE-2026-32595, CVE-2026-41263, Traefik: secrets compared byte by byte',
    held: [[own, 'F12: what proves something is compared in constant time']],
  },
  F13: {
    published: 'CVE-2025-25184, Rack: lines put into a log',
    held: [
      ['security/secrets.test.ts', 'each log line is one JSON object'],
      strangers('log lines that are no JSON object'),
      [
        'unit/observe/access-line.test.ts',
        'the line is the JSON of its fields to the last character, whatever strangers and numbers are in it',
      ],
    ],
  },
  F14: {
    published: 'CVE-2011-4139, CVE-2011-4140, CVE-2012-4520, Django; CVE-2026-55602: Host believed',
    held: [
      hosts,
      ['security/paths-and-rules.test.ts', 'the absolute form counts for its own host only, and goes up as a path'],
    ],
  },
  F15: {
    published: 'CVE-2026-27589, Caddy; CVE-2026-45692: what operators use, used by web pages',
    held: [
      ['security/operator-api.test.ts', 'answers no name that was made to point here, and no page of another site'],
      ['e2e/admin-api.test.ts', 'a GET changes nothing'],
      ['unit/admin/operator-listener.test.ts', 'a page of another site is refused'],
      ['unit/admin/operator-listener.test.ts', 'on loopback, only loopback names are answered'],
    ],
  },
  F16: {
    published: 'CVE-2026-85008, CVE-2026-13697, CVE-2026-109829, undici: answers kept for others',
    held: [[own, 'F16: of undici nothing is used that keeps, repeats or follows']],
  },
}
