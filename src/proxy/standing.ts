/** So many requests in a row must have failed on a server before it is left out. */
const FAILURES_TO_EJECT = 3
/** How long it is left out the first time; twice as long each further time, up to the most. */
const FIRST_EJECTION_MS = 5_000
const LONGEST_EJECTION_MS = 60_000

/** How a server is seen has changed. */
export interface ServerState {
  /** `host:port` or `unix:/path`. */
  readonly server: string
  readonly isUp: boolean
  /** Whose word it is: that of the requests that were sent there, or that of the health checks. */
  readonly source: 'requests' | 'checks'
  /** The failure that decided, where it went down. */
  readonly cause: unknown
}

export interface HealthThresholds {
  /** Checks in a row that must fail. */
  readonly unhealthyAfter: number
  /** Checks in a row that must succeed. */
  readonly healthyAfter: number
}

export interface StandingOptions {
  /** How the server is called. */
  readonly server: string
  readonly thresholds: HealthThresholds
  readonly onState: (state: ServerState) => void
}

/**
 * What is held of one server, by how requests went there (passive ejection) and by how checks went (active). Each of the
 * two can take it out of the choice; both must agree to have it in.
 *
 * An ejection ends with one request let through on trial, while all others still go elsewhere: a server that takes
 * connections and never answers would otherwise get a whole crowd each time. Checks that succeed end it as well.
 */
export class Standing {
  readonly #options: StandingOptions
  /** True while neither requests nor checks speak against it. */
  isUp = true
  /** Its operator wants it to be left alone. */
  isDrained = false
  ejections = 0
  #failures = 0
  #ejectionsInRow = 0
  /** 0: not ejected. By the monotonic clock. */
  #ejectedUntilMs = 0
  #isOnTrial = false
  #isUnhealthy = false
  #goodChecks = 0
  #badChecks = 0

  constructor(options: StandingOptions) {
    this.#options = options
  }

  /** Whether requests should go there now, by the monotonic clock. */
  mayServe(nowMs: number): boolean {
    if (this.isDrained) return false
    if (this.isUp) return true
    return !this.#isUnhealthy && !this.#isOnTrial && nowMs >= this.#ejectedUntilMs
  }

  /** A request is about to be sent there, for want of a better one perhaps. */
  onChosen(nowMs: number): void {
    if (this.#ejectedUntilMs !== 0 && nowMs >= this.#ejectedUntilMs) this.#isOnTrial = true
  }

  /** A request was answered, whatever the status. */
  onAnswer(): void {
    this.#failures = 0
    if (this.#ejectedUntilMs === 0) return
    this.#endEjection()
    this.#ejectionsInRow = 0
    this.#tell('requests', undefined)
  }

  /** A request ended there without a verdict: the browser left. */
  onUndecided(): void {
    this.#isOnTrial = false
  }

  /** A request failed there, and it was the server's doing. */
  onFailure(cause: unknown, nowMs: number): void {
    this.#failures += 1
    const isEjected = this.#ejectedUntilMs !== 0
    // Those that were under way when it was ejected, or were sent for want of a better one, say nothing new.
    if (isEjected ? !this.#isOnTrial : this.#failures < FAILURES_TO_EJECT) return
    this.#isOnTrial = false
    const durationMs = Math.min(LONGEST_EJECTION_MS, FIRST_EJECTION_MS * 2 ** this.#ejectionsInRow)
    this.#ejectionsInRow += 1
    this.ejections += 1
    this.#ejectedUntilMs = nowMs + durationMs
    this.#goodChecks = 0
    this.#tell('requests', cause)
  }

  /** A health check went well (`cause` undefined) or not. */
  onCheck(cause: unknown): void {
    const { unhealthyAfter, healthyAfter } = this.#options.thresholds
    if (cause === undefined) {
      this.#badChecks = 0
      this.#goodChecks += 1
      if (this.isUp || this.#goodChecks < healthyAfter) return
      this.#isUnhealthy = false
      this.#endEjection()
    } else {
      this.#goodChecks = 0
      this.#badChecks += 1
      if (this.#isUnhealthy || this.#badChecks < unhealthyAfter) return
      this.#isUnhealthy = true
    }
    this.#tell('checks', cause)
  }

  #endEjection(): void {
    this.#ejectedUntilMs = 0
    this.#isOnTrial = false
    this.#failures = 0
  }

  #tell(source: ServerState['source'], cause: unknown): void {
    const isUp = !this.#isUnhealthy && this.#ejectedUntilMs === 0
    if (isUp === this.isUp) return
    this.isUp = isUp
    this.#options.onState({ server: this.#options.server, isUp, source, cause })
  }
}
