import { z } from 'zod'
import { type Path, pathText } from './path.ts'
import { fileSchema } from './schema/file.ts'

type JsonSchema = z.core.JSONSchema.JSONSchema

/** Which keys the schema knows, and where. */
export interface KnownKeys {
  /** The keys of the mapping at `path`; empty where none is expected, or where any key may stand. */
  at(path: Path): readonly string[]
  /** The place where `key` is at home, as text (`session`), if there is exactly one. */
  homeOf(key: string): string | undefined
}

/** Reads the keys out of the schema; for messages only, so it is done when there is something to say. */
export function createKnownKeys(): KnownKeys {
  const root = z.toJSONSchema(fileSchema, { target: 'draft-7', io: 'input' })
  const homes = new Map<string, Set<string>>()
  collectHomes(root, [], homes)
  return {
    at: (path) => path.reduce(below, branches(root)).flatMap((schema) => Object.keys(schema.properties ?? {})),
    homeOf(key) {
      const places = homes.get(key)
      const [place] = places ?? []
      return places?.size === 1 ? place : undefined
    },
  }
}

function below(schemas: readonly JsonSchema[], step: string | number): JsonSchema[] {
  return schemas.flatMap((schema) => {
    const next = typeof step === 'number' ? schema.items : (schema.properties?.[step] ?? schema.additionalProperties)
    return typeof next === 'object' && !Array.isArray(next) ? branches(next) : []
  })
}

function branches(schema: JsonSchema): JsonSchema[] {
  const inside = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]
  return [schema, ...inside.flatMap((branch) => (typeof branch === 'object' ? branches(branch) : []))]
}

function collectHomes(schema: JsonSchema, path: Path, homes: Map<string, Set<string>>): void {
  for (const branch of branches(schema)) {
    for (const [key, value] of Object.entries(branch.properties ?? {})) {
      const places = homes.get(key) ?? new Set()
      homes.set(key, places.add(path.length === 0 ? 'the top of the file' : pathText(path)))
      if (typeof value === 'object') collectHomes(value, [...path, key], homes)
    }
    const { items, additionalProperties } = branch
    if (typeof items === 'object' && !Array.isArray(items)) collectHomes(items, [...path, '…'], homes)
    if (typeof additionalProperties === 'object') collectHomes(additionalProperties, [...path, '…'], homes)
  }
}
