import { type Choose, createChoice } from './balance.ts'
import { shuttingDown } from './failure.ts'
import { Member } from './member.ts'
import { RetryBudget } from './retry-budget.ts'
import type { UpstreamOptions } from './upstream.ts'

/** The servers of one upstream, and who is next. */
export class Roster implements AsyncDisposable {
  readonly members: readonly Member[]
  readonly budget = new RetryBudget()
  readonly #choose: Choose
  #isWhole = true
  #isClosed = false

  constructor(options: UpstreamOptions) {
    this.#choose = createChoice(options.balance ?? 'round_robin')
    this.members = options.servers.map(
      (origin) =>
        new Member(origin, options, (state) => {
          this.#look()
          options.onState?.(state)
        }),
    )
  }

  /**
   * The server for the next attempt of a request, of those that it has not tried yet.
   *
   * Those that are left out, drained ones too, are asked all the same when there is nobody else: a check with a wrong path,
   * or an app that fails for one browser, must not take the whole site away.
   *
   * @throws {GatewayError} `ERR_SHUTTING_DOWN`
   */
  next(affinity: string | undefined, tried: readonly Member[] | undefined): Member {
    if (this.#isClosed) throw shuttingDown()
    if (tried === undefined && this.#isWhole) return this.#choose(this.members, affinity)
    const nowMs = performance.now()
    const untried = someOrAll(this.members, (member) => tried?.includes(member) !== true)
    const willing = someOrAll(untried, ({ standing }) => standing.mayServe(nowMs))
    const member = this.#choose(willing, affinity)
    member.standing.onChosen(nowMs)
    return member
  }

  /** Whether there is a server that is not one of these. */
  hasOther(tried: readonly Member[]): boolean {
    return this.members.some((member) => !tried.includes(member))
  }

  /** Takes a server out of the choice, or back in. @returns false if there is no such server. */
  setDrained(server: string, isDrained: boolean): boolean {
    const member = this.members.find(({ address }) => address.label === server)
    if (member === undefined) return false
    member.standing.isDrained = isDrained
    this.#look()
    return true
  }

  #look(): void {
    this.#isWhole = this.members.every(({ standing }) => standing.isUp && !standing.isDrained)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.members.map((member) => member[Symbol.asyncDispose]()))
  }
}

/** Those for which it holds; all, if it holds for none. */
function someOrAll<T>(all: readonly T[], holds: (one: T) => boolean): readonly T[] {
  const some = all.filter(holds)
  return some.length === 0 ? all : some
}
