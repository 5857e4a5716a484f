import { Environment, EvaluationError, ParseError, type ParseResult } from '@marcbachmann/cel-js'
import type { SessionData } from '../django/json.ts'
import type { RawHeaders } from '../http/headers.ts'
import { analyseExpression, type UsedNames } from './expression-analysis.ts'
import { compileHeaderReader, type HeaderReader } from './expression-headers.ts'
import { celValue } from './expression-values.ts'

/** The longest expression that is read, in characters. */
const MAX_EXPRESSION_LENGTH = 4096

const limits = { maxAstNodes: 500, maxDepth: 32, maxListElements: 200, maxMapEntries: 50, maxCallArguments: 8 }

/** What an expression is asked about: one request, and the session that came with it. */
export interface ExpressionSubject {
  /** The session's data; an empty map for nobody. */
  readonly data: SessionData
  readonly method: string
  /** The path as the route table sees it, without the query. */
  readonly path: string
  /** The host's name in lower case, without a port. */
  readonly host: string
  readonly clientIp: string
  /** Header lines as the app will get them: what a stranger may not send must have been cut. */
  readonly headers: RawHeaders
}

/** What came out: whether the expression holds, and if it could not be told, which kind of failure stood in the way. */
export interface ExpressionVerdict {
  readonly holds: boolean
  /**
   * A word of a closed set, never a value of the session: `not_bool`, `header_unclear`, `failed`, or the interpreter's
   * code, such as `no_such_key`.
   */
  readonly failure?: string
}

export interface Expression {
  readonly text: string
  /** Never throws: an expression that fails does not hold. */
  evaluate(subject: ExpressionSubject): ExpressionVerdict
}

/** An expression that no rule can be made of. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError'
  /** Where in the text, from 0. */
  readonly offset: number

  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

const yes: ExpressionVerdict = { holds: true }
const no: ExpressionVerdict = { holds: false }

/**
 * Compiles a rule in CEL (cel.dev) over `session`, a map, `{}` for nobody, and `request.method`, `.path`, `.host`,
 * `.client_ip` and `.headers`, a map by lower-case name. Integers of the session are `int`, other numbers `double`, and
 * the two compare by their value. A key that is missing is an error unless `has()` or `in` asks for it.
 *
 * What an evaluation costs is bounded here, at start: which functions there are, that patterns of `matches()` are
 * literals whose worst case is known (`regular-expressions.ts`), that loops do not multiply, and how much of a session
 * is seen (`expression-values.ts`). Per request only those keys of the session are read that the text names.
 *
 * @throws {ExpressionError} if the text is no expression, uses what there is not, or cannot come out as a boolean.
 */
export function compileExpression(text: string): Expression {
  if (text.length > MAX_EXPRESSION_LENGTH) {
    throw new ExpressionError(`an expression has at most ${MAX_EXPRESSION_LENGTH} characters`, MAX_EXPRESSION_LENGTH)
  }
  const parsed = parse(text)
  const analysis = analyseExpression(parsed.ast)
  if (analysis.problem !== undefined) throw new ExpressionError(analysis.problem.message, analysis.problem.offset)
  const { valid, type, error } = parsed.check()
  if (!valid) throw new ExpressionError(error?.summary ?? 'its types do not fit', error?.range?.start ?? 0)
  if (type !== 'bool' && type !== 'dyn') throw new ExpressionError(`it comes out as ${type}, not as bool`, 0)

  const { sessionKeys } = analysis
  const readHeaders = compileHeaderReader(analysis.headers)
  return { text, evaluate: (subject) => evaluate({ parsed, sessionKeys, readHeaders }, subject) }
}

function parse(text: string): ParseResult {
  // One environment for each expression: the interpreter notes the types that it meets in it, and these notes go with it.
  const environment = new Environment({ limits }).registerVariable('session', 'map').registerVariable('request', {
    schema: { method: 'string', path: 'string', host: 'string', client_ip: 'string', headers: 'map<string, string>' },
  })
  try {
    return environment.parse(text)
  } catch (error) {
    if (error instanceof ParseError) throw new ExpressionError(error.summary, error.range?.start ?? 0)
    throw error
  }
}

interface Compiled {
  readonly parsed: ParseResult
  readonly sessionKeys: UsedNames
  readonly readHeaders: HeaderReader
}

function evaluate({ parsed, sessionKeys, readHeaders }: Compiled, subject: ExpressionSubject): ExpressionVerdict {
  const headers = readHeaders(subject.headers)
  if (headers === undefined) return { holds: false, failure: 'header_unclear' }
  try {
    const result: unknown = parsed({
      session: sessionValue(subject.data, sessionKeys),
      request: new Map<string, unknown>([
        ['method', subject.method],
        ['path', subject.path],
        ['host', subject.host],
        ['client_ip', subject.clientIp],
        ['headers', headers],
      ]),
    })
    if (typeof result !== 'boolean') return { holds: false, failure: 'not_bool' }
    return result ? yes : no
  } catch (error) {
    // Only the code: the message of the interpreter may quote a value.
    return { holds: false, failure: error instanceof EvaluationError ? error.code : 'failed' }
  }
}

function sessionValue(data: SessionData, used: UsedNames): ReadonlyMap<string, unknown> {
  const value = new Map<string, unknown>()
  for (const key of used === 'all' ? data.keys() : used) {
    const text = data.get(key)
    if (text !== undefined) value.set(key, celValue(text))
  }
  return value
}
