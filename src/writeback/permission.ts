import type { Commands } from './commands.ts'
import { type CommandHeader, commandHeaders, isReservedKey } from './names.ts'
import { refusal } from './refusal.ts'

/** The commands that `writeback.commands` can name; `set` and `delete` are governed by `writeback.allow`. */
export type CommandName = 'flush' | 'clear' | 'cycle-key' | 'expiry'

const commandNames: readonly CommandName[] = ['flush', 'clear', 'cycle-key', 'expiry']

/** In `allow`: every key that does not begin with `_`. */
const ANY_KEY = '*'

/** `writeback` of an upstream, or of a route, as the file has it. */
export interface WritebackRules {
  /** Exact top-level names; `*` stands for all that do not begin with `_`, which are named one by one. */
  readonly allow: readonly string[]
  /** Default: all with `*` in `allow`, else none. */
  readonly commands?: readonly CommandName[]
}

/** Tells whether the commands of an answer are permitted. */
export interface Permission {
  /** @throws {GatewayError} `ERR_WRITEBACK_REFUSED` for the first that is not, naming header, key and reason. */
  check(commands: Commands): void
}

/** A permission from the rules that hold for a route; without rules nothing is permitted. */
export function compilePermission(rules: WritebackRules | undefined): Permission {
  const names = new Set(rules?.allow)
  const commands = new Set(commandsOf(rules))
  const check = (header: CommandHeader, keys: Iterable<string>) => {
    for (const key of keys) {
      if (isReservedKey(key)) throw refusal({ reason: 'reserved', header, key })
      if (!permitsKey(names, key)) throw refusal({ reason: 'not_allowed', header, key })
    }
  }
  return {
    check(asked) {
      for (const [name, header] of commandsIn(asked)) {
        if (!commands.has(name)) throw refusal({ reason: 'not_allowed', header, key: name })
      }
      check(commandHeaders.delete, asked.delete)
      check(commandHeaders.set, asked.set.keys())
    },
  }
}

/**
 * The rules of a route below its upstream: what both permit. A route without rules has its upstream's; where the
 * upstream has none, the route has none either.
 */
export function narrow(upstream: WritebackRules | undefined, route: WritebackRules | undefined): WritebackRules {
  if (upstream === undefined) return { allow: [], commands: [] }
  const inner = route ?? upstream
  const upper = new Set(upstream.allow)
  // Where only the route says `*`, the upstream's names are what is left of it.
  const wide = inner.allow.includes(ANY_KEY) ? upstream.allow.filter((key) => !key.startsWith('_')) : []
  const allow = new Set([...wide, ...inner.allow.filter((key) => permitsName(upper, key))])
  const permitted = new Set(commandsOf(upstream))
  return { allow: [...allow], commands: commandsOf(inner).filter((name) => permitted.has(name)) }
}

/**
 * What a route names beyond its upstream, as `allow: cart` and `commands: flush`; empty if it only narrows. Commands
 * that the route has by default, through its `*`, are not named and so exceed nothing.
 */
export function exceeds(route: WritebackRules, upstream: WritebackRules | undefined): string[] {
  const upper = new Set(upstream?.allow)
  const permitted = new Set(commandsOf(upstream))
  return [
    ...route.allow.filter((key) => !permitsName(upper, key)).map((key) => `allow: ${key}`),
    ...(route.commands ?? []).filter((name) => !permitted.has(name)).map((name) => `commands: ${name}`),
  ]
}

/** The names in `allow` that can never be permitted; for the check of the configuration. */
export function reservedNames(rules: WritebackRules): string[] {
  return rules.allow.filter(isReservedKey)
}

/** All commands with `*`, none without, unless they are named. */
export function commandsOf(rules: WritebackRules | undefined): readonly CommandName[] {
  if (rules === undefined) return []
  return rules.commands ?? (rules.allow.includes(ANY_KEY) ? commandNames : [])
}

/** May this key be written? The name `*` is no wildcard here: an app cannot name it. */
function permitsKey(names: ReadonlySet<string>, key: string): boolean {
  if (key !== ANY_KEY && names.has(key)) return true
  return names.has(ANY_KEY) && !key.startsWith('_')
}

/** May an entry of a narrower list stand below this list? Only `*` covers `*`. */
function permitsName(names: ReadonlySet<string>, name: string): boolean {
  return names.has(name) || (name !== ANY_KEY && permitsKey(names, name))
}

function* commandsIn(asked: Commands): Generator<[CommandName, CommandHeader]> {
  if (asked.flush) yield ['flush', commandHeaders.command]
  if (asked.clear) yield ['clear', commandHeaders.command]
  if (asked.cycleKey) yield ['cycle-key', commandHeaders.command]
  if (asked.expiry !== undefined) yield ['expiry', commandHeaders.expiry]
}
