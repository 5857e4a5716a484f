import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Problem } from '../../src/config/problem.ts'
import { Draft } from './draft.ts'
import { exampleEnv, exampleFiles, exampleSecrets } from './example-files.ts'
import { formPlants, type Plant, type Planted, sensePlants } from './plants.ts'
import { problemsOf } from './sample.ts'

/** Where a mistake is put is drawn: by itself each is put once into each file, and all of them together with each seed. */
const SEEDS = 8
const plants: readonly Plant[] = [...formPlants, ...sensePlants]
const files = exampleSecrets()

/** Puts mistakes into a file, and demands that each is told with its line. */
async function expectTold(text: string, kinds: readonly Plant[], seed: number): Promise<number> {
  const draft = new Draft(text, seed)
  const planted = kinds.map((plant) => plant.put(draft)).filter((put) => put !== undefined)
  const finished = draft.finish(planted.map(({ spot }) => spot))
  const problems = await problemsOf(finished.text, { env: exampleEnv, files })
  for (const [at, put] of planted.entries()) {
    const line = finished.lines[at] ?? 0
    assert.ok(isTold(problems, put, line), explain(put, { line, seed, text: finished.text, problems }))
  }
  return planted.length
}

function isTold(problems: readonly Problem[], { message, severity }: Planted, line: number): boolean {
  return problems.some(
    (problem) => problem.line === line && problem.severity === severity && message.test(problem.message),
  )
}

interface Failure {
  readonly line: number
  readonly seed: number
  readonly text: string
  readonly problems: readonly Problem[]
}

function explain({ message }: Planted, { line, seed, text, problems }: Failure): string {
  const told = problems.map((problem) => `  ${problem.line}: ${problem.severity}: ${problem.message}`).join('\n')
  return `seed ${seed}: line ${line} should be told with ${message}; told is\n${told}\nof\n${text}`
}

for (const { name, text } of exampleFiles()) {
  for (const [at, plant] of plants.entries()) {
    test(`${name}: told with its line: ${plant.kind}`, async () => {
      await expectTold(text, [plant], 1 + (at % SEEDS))
    })
  }

  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`${name}: all at once are told, each with its line (seed ${seed})`, async () => {
      const kinds = compatible(shuffled(plants, seed))
      const count = await expectTold(text, kinds, seed)
      assert.ok(count > 45, `only ${count}`)
    })
  }
}

/** As many kinds as do not touch the same thing. */
function compatible(kinds: readonly Plant[]): Plant[] {
  const taken = new Set(['all'])
  return kinds.filter(({ touches }) => {
    if (touches.some((thing) => taken.has(thing))) return false
    for (const thing of touches) taken.add(thing)
    return true
  })
}

function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const draft = new Draft('', seed)
  const rest = [...items]
  const order: Item[] = []
  for (let next = draft.pick(rest); next !== undefined; next = draft.pick(rest)) {
    order.push(next)
    rest.splice(rest.indexOf(next), 1)
  }
  return order
}
