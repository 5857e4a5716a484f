import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { after, test } from 'node:test'
import {
  type Node,
  NodeFlags,
  type SourceFile,
  type Statement,
  SyntaxKind,
  type VariableDeclaration,
} from 'typescript/unstable/ast'
import * as is from 'typescript/unstable/ast/is'
import { API } from 'typescript/unstable/sync'

/**
 * The house has six floors. A file imports its own room and the floors below, types included; rooms on one floor are
 * strangers, and what one needs of another comes in as a parameter.
 */
const floors: readonly (readonly string[])[] = [
  ['errors.ts', 'lib/'],
  ['http/', 'django/'],
  ['sessions/', 'rules/', 'assertion/', 'writeback/', 'proxy/', 'observe/'],
  ['config/', 'server/', 'admin/'],
  ['cli/', 'workers/', 'wiring'],
  ['main.ts'],
]

/** The fourth floor has no folder for its own room: the files in which the parts are opened and handed to each other. */
const wiring: ReadonlySet<string> = new Set([
  'gateway.ts',
  'generation.ts',
  'public-front.ts',
  'operator-sessions.ts',
  'operator-views.ts',
  'gateway-operations.ts',
  'key-views.ts',
  'open-sessions.ts',
  'store-states.ts',
  'wiring.ts',
  'route-parts.ts',
  'upstream-parts.ts',
  'session-parts.ts',
  'store-parts.ts',
  'store-examination.ts',
  'user-index-parts.ts',
  'local-cache-parts.ts',
  'local-cache-states.ts',
  'housekeeping.ts',
  'tls-parts.ts',
  'limit-parts.ts',
  'explanation.ts',
])

const maxFileLines = 350
const maxFunctionLines = 60
const forbiddenNames = /^(utils?|helpers?|types?|common|index|misc|shared)$/

const checkout = resolve(import.meta.dirname, '..')
const sourceRoot = join(checkout, 'src')
const sources = globSync('src/**/*.ts', { cwd: checkout }).sort()
const typescriptFiles = globSync('{src,test,bench,scripts}/**/*.ts', {
  cwd: checkout,
  exclude: ['**/node_modules/**', 'bench/var/**'],
}).sort()

const compiler = new API({ cwd: checkout })
const project = compiler.updateSnapshot({ openProjects: [join(checkout, 'tsconfig.json')] }).getProjects()[0]
after(() => compiler.close())

function parse(file: string): SourceFile {
  const parsed = project?.program.getSourceFile(join(checkout, file))
  assert.ok(parsed, `${file} is not part of tsconfig.json`)
  return parsed
}

/** `sessions/` for `src/sessions/engines/db.ts`; a file beside the rooms is one by itself, or of the wiring. */
function roomOf(file: string): string {
  const [room = '', ...rest] = relative(sourceRoot, join(checkout, file)).split('/')
  if (rest.length > 0) return `${room}/`
  return wiring.has(room) ? 'wiring' : room
}

function floorOf(file: string): number {
  return floors.findIndex((rooms) => rooms.includes(roomOf(file)))
}

/** Everything below a node, itself included. */
function* descendants(node: Node): Generator<Node> {
  yield node
  const children: Node[] = []
  node.forEachChild((child) => {
    children.push(child)
    return undefined
  })
  for (const child of children) yield* descendants(child)
}

interface Import {
  readonly specifier: string
  readonly at: string
}

/** Static imports, re-exports, dynamic imports and `import('…')` types alike. */
function importsOf(file: string): Import[] {
  const parsed = parse(file)
  const found: Import[] = []
  for (const node of descendants(parsed)) {
    const specifier = importedBy(node)
    if (specifier === undefined) continue
    if (is.isStringLiteral(specifier)) found.push({ specifier: specifier.text, at: position(file, parsed, node) })
    else found.push({ specifier: '(not a literal)', at: position(file, parsed, node) })
  }
  return found
}

function importedBy(node: Node): Node | undefined {
  if (is.isImportDeclaration(node) || is.isExportDeclaration(node)) return node.moduleSpecifier
  if (is.isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) return node.arguments[0]
  if (is.isImportTypeNode(node) && is.isLiteralTypeNode(node.argument)) return node.argument.literal
  return undefined
}

function position(file: string, parsed: SourceFile, node: Node): string {
  return `${file}:${lineOf(parsed.text, startOf(parsed, node))}`
}

/** Where a node's own text begins, after the comments and blanks that TypeScript counts to it. */
function startOf(parsed: SourceFile, node: Node): number {
  const leading = /^(?:\s|\/\*[\s\S]*?\*\/|\/\/[^\n]*)*/.exec(parsed.text.slice(node.pos, node.end))
  return node.pos + (leading?.[0].length ?? 0)
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

function localImports(file: string): { target: string; at: string }[] {
  return importsOf(file)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier, at }) => ({ target: relative(checkout, resolve(checkout, dirname(file), specifier)), at }))
}

test('every source file lives in a room of the drawing', () => {
  assert.ok(sources.length > 0)
  assert.deepEqual(
    sources.filter((file) => floorOf(file) === -1),
    [],
  )
})

test('a file imports its own room and the floors below, types included', () => {
  const trespasses = sources.flatMap((file) =>
    localImports(file)
      .filter(({ target }) => !mayImport(file, target))
      .map(({ target, at }) => `${at} imports ${target}`),
  )
  assert.deepEqual(trespasses, [])
})

function mayImport(file: string, target: string): boolean {
  if (!target.startsWith('src/')) return false
  return roomOf(file) === roomOf(target) || floorOf(target) < floorOf(file)
}

test('imports do not run in a circle', () => {
  const finished = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, trail: readonly string[]) => {
    if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file].join(' → '))
    if (trail.includes(file) || finished.has(file) || !sources.includes(file)) return
    for (const { target } of localImports(file)) visit(target, [...trail, file])
    finished.add(file)
  }
  for (const file of sources) visit(file, [])
  assert.deepEqual(circles, [])
})

test('imports name the file with its ending', () => {
  const odd = typescriptFiles.flatMap((file) =>
    importsOf(file)
      .filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|mjs|json)$/.test(specifier))
      .map(({ specifier, at }) => `${at} imports ${specifier}`),
  )
  assert.deepEqual(odd, [])
})

test('what the source imports can be read off: no computed imports', () => {
  const computed = sources.flatMap((file) =>
    importsOf(file)
      .filter(({ specifier }) => specifier === '(not a literal)')
      .map(({ at }) => at),
  )
  assert.deepEqual(computed, [])
})

test('files are kebab-case nouns that say what they know', () => {
  const misnamed = typescriptFiles.filter((file) => {
    const name = basename(file).replace(/(\.test)?\.ts$/, '')
    return !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || (file.startsWith('src/') && forbiddenNames.test(name))
  })
  assert.deepEqual(misnamed, [])
})

test('there are no default exports, enums, namespaces or barrels', () => {
  const found = sources.flatMap((file) => {
    const parsed = parse(file)
    return parsed.statements.filter(isForbiddenStatement).map((statement) => position(file, parsed, statement))
  })
  assert.deepEqual(found, [])
})

function isForbiddenStatement(statement: Statement): boolean {
  if (is.isEnumDeclaration(statement) || is.isModuleDeclaration(statement) || is.isExportAssignment(statement))
    return true
  if (is.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined) return true
  return modifiersOf(statement).includes(SyntaxKind.DefaultKeyword)
}

function modifiersOf(node: Node): SyntaxKind[] {
  const modifiers = 'modifiers' in node ? (node.modifiers as readonly Node[] | undefined) : undefined
  return (modifiers ?? []).map((modifier) => modifier.kind)
}

test('no state changes at module level', () => {
  const changing = sources.flatMap((file) => {
    const parsed = parse(file)
    return parsed.statements
      .filter(is.isVariableStatement)
      .filter(
        ({ declarationList }) =>
          (declarationList.flags & NodeFlags.Const) === 0 || declarationList.declarations.some(holdsState),
      )
      .map((statement) => position(file, parsed, statement))
  })
  assert.deepEqual(changing, [])
})

const collections = /^(Map|Set|WeakMap|WeakSet|Array)$/
const writableTypes = /^(Map|Set|WeakMap|WeakSet|Array|Record)<|^(?!readonly\b).*\[\]$/

/**
 * A collection that anybody can add to is state, whatever `const` says: one whose declared type allows the writing, and
 * one without a declared type that is a Map or Set, or begins empty.
 */
function holdsState({ initializer, type }: VariableDeclaration): boolean {
  if (initializer === undefined) return true
  if (type !== undefined) return writableTypes.test(type.getText().trim())
  if (is.isArrayLiteralExpression(initializer)) return initializer.elements.length === 0
  if (is.isObjectLiteralExpression(initializer)) return initializer.properties.length === 0
  return (
    is.isNewExpression(initializer) &&
    is.isIdentifier(initializer.expression) &&
    collections.test(initializer.expression.text)
  )
}

test(`no file has more than ${maxFileLines} lines, unless its head says "long because …"`, () => {
  const long = typescriptFiles
    .map((file) => ({ file, lines: readFileSync(join(checkout, file), 'utf8').split('\n') }))
    .filter(
      ({ lines }) =>
        lines.length - 1 > maxFileLines && !lines.slice(0, 5).some((line) => /^\/\/ long because \S/.test(line)),
    )
    .map(({ file, lines }) => `${file} has ${lines.length - 1} lines`)
  assert.deepEqual(long, [])
})

test(`no function has more than ${maxFunctionLines} lines, unless "// long because …" stands before it`, () => {
  const long = sources.flatMap((file) => {
    const parsed = parse(file)
    return [...descendants(parsed)]
      .filter(isFunction)
      .map((node) => ({ node, start: startOf(parsed, node) }))
      .filter(({ node, start }) => lineOf(parsed.text, node.end) - lineOf(parsed.text, start) + 1 > maxFunctionLines)
      .filter(({ start }) => !hasReason(parsed.text, start))
      .map(
        ({ node, start }) => `${position(file, parsed, node)} ${parsed.text.slice(start, start + 60).split('\n')[0]}`,
      )
  })
  assert.deepEqual(long, [])
})

function isFunction(node: Node): boolean {
  return (
    is.isFunctionDeclaration(node) ||
    is.isFunctionExpression(node) ||
    is.isArrowFunction(node) ||
    is.isMethodDeclaration(node) ||
    is.isConstructorDeclaration(node)
  )
}

/** The reason stands in the lines right above the statement that the function begins in. */
function hasReason(text: string, start: number): boolean {
  const above = text.slice(0, start).split('\n').slice(0, -1).reverse()
  const comment = above.findIndex((line) => !/^\s*(\/\/|\/?\*)/.test(line))
  return above.slice(0, comment).some((line) => /^\s*\/\/ long because \S/.test(line))
}
