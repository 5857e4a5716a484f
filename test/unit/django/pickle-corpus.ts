import { readFileSync } from 'node:fs'

export interface SessionRow {
  readonly json: string
  readonly pickle2: string
  readonly pickle3: string
  readonly pickle4: string
  readonly pickle5: string
}

export interface PlainRow {
  readonly why: string
  readonly json: string
  readonly hex: string
}

export interface RefusedRow {
  readonly why: string
  readonly hex: string
}

/** The sessions that Django itself has pickled: `test/vectors/README.md`. */
export function djangoRows(): readonly { json: string; pickle5_hex: string; pickle2_hex: string }[] {
  return read('../django-sessions.json').rows
}

/** `test/vectors/pickles/README.md` tells what is in them. */
export function sessionRows(): readonly SessionRow[] {
  return read('sessions.json')
}

export function plainRows(): readonly PlainRow[] {
  return read('plain.json')
}

export function refusedRows(): readonly RefusedRow[] {
  return read('refused.json')
}

function read(name: string) {
  return JSON.parse(readFileSync(new URL(`../../vectors/pickles/${name}`, import.meta.url), 'utf8'))
}
