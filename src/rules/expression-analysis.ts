import type { ASTNode } from '@marcbachmann/cel-js'
import { patternProblem } from './regular-expressions.ts'

/** What is wrong with an expression, and where in its text. */
export interface ExpressionProblem {
  readonly message: string
  /** Index into the expression's text. */
  readonly offset: number
}

/** Names that an expression uses of a map, or `all` if that cannot be told from its text. */
export type UsedNames = ReadonlySet<string> | 'all'

/** What can be told of an expression before it ever runs. */
export interface ExpressionAnalysis {
  readonly problem?: ExpressionProblem
  /** The top-level keys of the session that must be read for it. */
  readonly sessionKeys: UsedNames
  /** The headers that it looks at; empty if it looks at none. */
  readonly headers: UsedNames
}

/** The members of `request` in expressions. */
export const requestFields: readonly string[] = ['method', 'path', 'host', 'client_ip', 'headers']

/**
 * What an expression may call: those of CEL's functions that end in a time which grows with their input and no faster.
 * A list of what is allowed, so that an update of the interpreter cannot add to it.
 */
const functions: ReadonlySet<string> = new Set('has size string int double bool type dyn timestamp duration'.split(' '))
const methods: ReadonlySet<string> = new Set(
  'size startsWith endsWith contains matches lowerAscii upperAscii trim split join indexOf lastIndexOf substring'.split(
    ' ',
  ),
)
/** Macros that bind their first argument to each element of what stands before the dot. */
const loops: ReadonlySet<string> = new Set('all exists exists_one map filter'.split(' '))

const variables: ReadonlySet<string> = new Set(['session', 'request', 'cel'])

/** Reads a parsed expression once: which data it needs, and whether it does something that no rule should. */
export function analyseExpression(ast: ASTNode): ExpressionAnalysis {
  const analysis = new Analysis()
  analysis.walk(ast, undefined)
  return analysis
}

class Analysis implements ExpressionAnalysis {
  problem?: ExpressionProblem
  readonly #sessionKeys = new Set<string>()
  readonly #headers = new Set<string>()
  #usesWholeSession = false
  #usesAllHeaders = false

  get sessionKeys(): UsedNames {
    return this.#usesWholeSession ? 'all' : this.#sessionKeys
  }

  get headers(): UsedNames {
    return this.#usesAllHeaders ? 'all' : this.#headers
  }

  /** `loopVariable` is that of the innermost loop around the node. */
  walk(node: ASTNode, loopVariable: string | undefined): void {
    if (this.#noteAccess(node)) return
    switch (node.op) {
      case 'id':
        this.#noteVariable(node)
        break
      case 'call':
        this.#walkCall(node.args[0], node, loopVariable)
        break
      case 'rcall':
        this.#walkMethod(node, loopVariable)
        break
      default:
        for (const child of childrenOf(node)) this.walk(child, loopVariable)
    }
  }

  /** Notes `session.x`, `session["x"]`, `"x" in session` and the same of headers. True if there is nothing below to look at. */
  #noteAccess(node: ASTNode): boolean {
    const access = accessOf(node)
    if (access === undefined) return false
    const { of, name } = access
    if (isVariable(of, 'session')) {
      this.#sessionKeys.add(name)
      return true
    }
    if (isHeaders(of)) {
      this.#headers.add(name)
      if (name !== name.toLowerCase())
        this.#refuse(node, `header names are in lower case here: "${name.toLowerCase()}"`)
      return true
    }
    if (!isVariable(of, 'request') || node.op !== '.') return false
    if (name === 'headers') this.#usesAllHeaders = true
    if (!requestFields.includes(name))
      this.#refuse(node, `request has no "${name}"; it has ${requestFields.join(', ')}`)
    return true
  }

  #noteVariable(node: ASTNode): void {
    if (isVariable(node, 'session')) this.#usesWholeSession = true
    if (isVariable(node, 'request')) this.#refuse(node, 'name a member of request, as in request.method')
  }

  #walkCall(name: string, node: ASTNode & { op: 'call' }, loopVariable: string | undefined): void {
    if (!functions.has(name)) this.#refuse(node, `there is no function ${name}()`)
    for (const argument of node.args[1]) this.walk(argument, loopVariable)
  }

  #walkMethod(node: ASTNode & { op: 'rcall' }, loopVariable: string | undefined): void {
    const [name, receiver, parameters] = node.args
    const isBinding = name === 'bind' && isVariable(receiver, 'cel')
    if (!isBinding) this.walk(receiver, loopVariable)
    if (!isBinding && !loops.has(name)) {
      if (!methods.has(name)) this.#refuse(node, `there is no method ${name}()`)
      if (name === 'matches') this.#checkPattern(parameters[0] ?? node)
      for (const parameter of parameters) this.walk(parameter, loopVariable)
      return
    }
    const [variable, ...rest] = parameters
    if (variable === undefined || variable.op !== 'id' || variables.has(variable.args)) {
      this.#refuse(variable ?? node, `${name}() needs a name of its own for its variable`)
      return
    }
    // A loop over the elements of a loop's element goes over each value once; any other one multiplies.
    if (!isBinding && loopVariable !== undefined && rootOf(receiver) !== loopVariable) {
      this.#refuse(node, `${name}() inside of a loop may only go over the members of "${loopVariable}"`)
    }
    for (const part of rest) this.walk(part, isBinding ? loopVariable : variable.args)
  }

  #checkPattern(pattern: ASTNode): void {
    if (pattern.op !== 'value' || typeof pattern.args !== 'string') {
      this.#refuse(pattern, 'the pattern of matches() must be a literal')
    } else {
      const problem = patternProblem(pattern.args)
      if (problem !== undefined) this.#refuse(pattern, `the pattern of matches(): ${problem}`)
    }
  }

  /** Keeps the first problem. */
  #refuse(node: ASTNode, message: string): void {
    this.problem ??= { message, offset: node.start }
  }
}

/** The name and the map in `map.name`, `map["name"]` and `"name" in map`. */
function accessOf(node: ASTNode): { of: ASTNode; name: string } | undefined {
  switch (node.op) {
    case '.':
      return { of: node.args[0], name: node.args[1] }
    case '[]':
      return named(node.args[0], node.args[1])
    case 'in':
      return named(node.args[1], node.args[0])
    default:
      return undefined
  }
}

function named(of: ASTNode, name: ASTNode): { of: ASTNode; name: string } | undefined {
  return name.op === 'value' && typeof name.args === 'string' ? { of, name: name.args } : undefined
}

function isVariable(node: ASTNode, name: string): boolean {
  return node.op === 'id' && node.args === name
}

function isHeaders(node: ASTNode): boolean {
  return node.op === '.' && node.args[1] === 'headers' && isVariable(node.args[0], 'request')
}

/** The variable at the left end of `a.b[c].d`. */
function rootOf(node: ASTNode): string | undefined {
  if (node.op === '.' || node.op === '[]') return rootOf(node.args[0])
  return node.op === 'id' ? node.args : undefined
}

/** What stands below a node that is neither a variable nor a call. */
function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return []
    case '.':
    case '.?':
      return [node.args[0]]
    case 'call':
      return node.args[1]
    case 'rcall':
      return [node.args[1], ...node.args[2]]
    case '!_':
    case '-_':
      return [node.args]
    case 'map':
      return node.args.flat()
    default:
      return node.args
  }
}
