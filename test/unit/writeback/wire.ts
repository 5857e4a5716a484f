import assert from 'node:assert/strict'
import { GatewayError } from '../../../src/errors.ts'
import { readCommands } from '../../../src/writeback/commands.ts'

interface Facts {
  readonly reason: string
  readonly header: string
  readonly key?: string
}

/** A header value as it arrives: the bytes of its UTF-8, one character each. */
export function onWire(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Lines of `X-Session-Set`, flat. */
export function setLines(...lines: string[]): string[] {
  return lines.flatMap((line) => ['X-Session-Set', line])
}

/** Expects the commands to be refused with exactly these facts. */
export function assertRefused(raw: string[], facts: Facts, why: string): void {
  assert.throws(() => readCommands(raw), isRefusal(facts), why)
}

function isRefusal(facts: Facts) {
  return (error: unknown) => {
    assert.ok(error instanceof GatewayError, String(error))
    assert.equal(error.code, 'ERR_WRITEBACK_REFUSED')
    assert.deepEqual(error.facts, facts)
    return true
  }
}
