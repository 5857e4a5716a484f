import { z } from 'zod'
import { fileSchema } from './schema/file.ts'

type JsonSchema = z.core.JSONSchema.BaseSchema
type MaybeSchema = JsonSchema | boolean

/** Where the schema of the repository stands, for editors: `# yaml-language-server: $schema=./sessiongate.schema.json`. */
export const JSON_SCHEMA_FILE = 'sessiongate.schema.json'

/** A reference that stands for a value: it may be a number or one of several words, which only loading can tell. */
const reference: JsonSchema = {
  type: 'string',
  pattern: '\\$\\{[^}]+\\}',
  description: '$' + '{NAME}, $' + '{NAME:-default} or $' + '{file:/path}',
}

/**
 * The form of the file as JSON Schema, draft 7, for editors: keys, words, defaults and what each key is for. It knows
 * that `${…}` may stand for any value and that `x-…` keys are ignored, but nothing of what parts say about each other;
 * `sessiongate check` does.
 */
export function createJsonSchema(): JsonSchema {
  const { $schema, ...root } = z.toJSONSchema(fileSchema, { target: 'draft-7', io: 'input' })
  return {
    $schema: $schema ?? 'http://json-schema.org/draft-07/schema#',
    title: 'sessiongate configuration',
    ...forEditors(root),
    definitions: { reference },
  }
}

/** The schema as the file holds it. */
export function jsonSchemaText(): string {
  return `${JSON.stringify(createJsonSchema(), undefined, 2)}\n`
}

function forEditors(schema: JsonSchema): JsonSchema {
  const inside = withEditedParts(schema)
  const branches = branchesOf(inside)
  if (branches.every((branch) => branch.type === 'object' || branch.type === 'array')) return inside
  const { description, default: preset, anyOf, ...rest } = inside
  if (anyOf === undefined && isFreeText(rest)) return inside
  // Description and default stay outside: editors show them for the key.
  return {
    ...(description === undefined ? {} : { description }),
    ...(preset === undefined ? {} : { default: preset }),
    anyOf: [...branches, ...(branches.some(isFreeText) ? [] : [{ $ref: '#/definitions/reference' }])],
  }
}

function withEditedParts(schema: JsonSchema): JsonSchema {
  const copy = withoutSafeIntegers({ ...schema })
  if (copy.properties) copy.properties = mapValues(copy.properties, forEditorsOrBoolean)
  if (typeof copy.additionalProperties === 'object') copy.additionalProperties = forEditors(copy.additionalProperties)
  if (typeof copy.items === 'object' && !Array.isArray(copy.items)) copy.items = forEditors(copy.items)
  if (copy.anyOf) copy.anyOf = copy.anyOf.map(withEditedParts)
  return copy.type === 'object' ? withExtensions(copy) : copy
}

/** The kinds of value that a schema permits, those of nested unions too. */
function branchesOf({ description: _, default: __, ...schema }: JsonSchema): JsonSchema[] {
  return schema.anyOf?.flatMap(branchesOf) ?? [schema]
}

function forEditorsOrBoolean(schema: MaybeSchema): MaybeSchema {
  return typeof schema === 'boolean' ? schema : forEditors(schema)
}

/** `x-…` may stand in every mapping but those of header names, which are data. */
function withExtensions(schema: JsonSchema): JsonSchema {
  const { additionalProperties } = schema
  const isHeaderMap = typeof additionalProperties === 'object' && additionalProperties.type !== 'object'
  return isHeaderMap ? schema : { ...schema, patternProperties: { '^x-': {} } }
}

/** A string of any form takes a reference as it is. */
function isFreeText(schema: JsonSchema): boolean {
  const isString = schema.type === 'string' || (Array.isArray(schema.type) && schema.type.includes('string'))
  return isString && schema.pattern === undefined && schema.enum === undefined && schema.const === undefined
}

/** Bounds that JavaScript has and nobody meant. */
function withoutSafeIntegers(schema: JsonSchema): JsonSchema {
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
  return schema
}

function mapValues<In, Out>(record: Record<string, In>, change: (value: In) => Out): Record<string, Out> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
