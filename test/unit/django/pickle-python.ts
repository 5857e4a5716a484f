import { execFileSync } from 'node:child_process'
import type { Requirement } from '../../support/requirement.ts'

export interface PythonPickles {
  /** `json.dumps` of the value, compact. */
  readonly json: string
  /** Hex, protocols 2 to 5. */
  readonly pickles: readonly string[]
}

/** What Python makes of JSON texts: its pickles, and its spelling. */
export function pythonWrites(python: Requirement, sources: readonly string[]): PythonPickles[] {
  return ask(python, sources, writing)
}

/** What Python reads from pickles, as JSON; null where it raises. Nothing that a pickle names is imported or called. */
export function pythonReads(python: Requirement, pickles: readonly Buffer[]): (string | null)[] {
  return ask(
    python,
    pickles.map((bytes) => bytes.toString('hex')),
    reading,
  )
}

const writing = `
import json, pickle, sys
def row(source):
    value = json.loads(source)
    pickles = [pickle.dumps(value, protocol).hex() for protocol in (2, 3, 4, 5)]
    return {"json": json.dumps(value, separators=(",", ":")), "pickles": pickles}
`

// The limit of memory is for memo places with huge numbers, for which Python makes room at once.
const reading = `
import io, json, pickle, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError("names something")
def row(text):
    try:
        return json.dumps(Unpickler(io.BytesIO(bytes.fromhex(text))).load(), separators=(",", ":"))
    except Exception:
        return None
`

function ask(python: Requirement, input: readonly string[], script: string) {
  const program = `${script}\nprint(json.dumps([row(item) for item in json.load(sys.stdin)]))`
  const output = execFileSync(python.path, ['-c', program], {
    input: JSON.stringify(input),
    maxBuffer: 256 * 1024 * 1024,
    timeout: 60_000,
  })
  return JSON.parse(output.toString('latin1'))
}
