import type { Config } from '../config/config.ts'
import type { Problem } from '../config/problem.ts'
import type { ConfigSnapshot, FileSnapshot } from '../config/snapshot.ts'
import type { Diagnosis } from '../lib/diagnosis.ts'
import type { SessionEngine } from '../sessions/engine.ts'
import type { UserSessions } from '../sessions/user-sessions.ts'

/** The default of `--config`, from the working directory. */
export const DEFAULT_CONFIG = 'config/sessiongate.yaml'

/** What a command may touch of the world. Tests and `main.ts` hand it in. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Writes to stdout: what somebody asked to read. */
  readonly print: (text: string) => void
  /** Writes to stderr: what somebody should know beside it. */
  readonly tell: (text: string) => void
  readonly readStdin: () => Promise<string>
  /** What is told goes to a terminal: somebody watches it. */
  readonly isTerminal: boolean
  /** Width of the terminal to which stdout goes; absent: it goes elsewhere. */
  readonly outputColumns?: number | undefined
  /** Calls the listener when somebody presses Ctrl-C or a supervisor asks for the end. Returns the way to stop listening. */
  readonly onInterrupt: (listener: () => void) => () => void
  /** Waits; resolves early when the signal is aborted. */
  readonly pause: (durationMs: number, signal: AbortSignal) => Promise<void>
  readonly version: string
  readonly openGateway: (config: Config, options: GatewayOptions) => Promise<RunningGateway>
  /** For more than one worker: this process becomes their supervisor. */
  readonly openFleet: (config: Config, options: FleetOptions) => Promise<RunningGateway>
  readonly openSessionTools: (config: Config) => Promise<SessionTools>
  /** Reads `session_data` text with the secret keys of the configuration; asks no store. */
  readonly decode: (config: Config, text: string) => Promise<DecodedText>
  /** The secret that signs where the configuration names no keys; made if there is none yet. */
  readonly readGeneratedSigningKey: () => Promise<string>
  readonly explain: (config: Config, question: ExplainQuestion) => Promise<Explanation>
  /** The stores of a configuration and how to look at each, for that many milliseconds at most a step. */
  readonly storeExaminations: (config: Config, timeoutMs: number) => Promise<readonly StoreExamination[]>
  /** Asks somebody who sits before a terminal; undefined where nobody does. */
  readonly ask?: ((question: string) => Promise<string>) | undefined
}

/** A look at a store. It rejects with the words of the failure when the store cannot be reached. */
export interface StoreExamination {
  readonly name: string
  readonly examine: () => Promise<readonly Diagnosis[]>
}

export interface GatewayOptions {
  readonly warnings: readonly Problem[]
  readonly version: string
}

/** A configuration, and the files that it was read from. */
export interface ServedConfig {
  readonly config: Config
  readonly warnings: readonly Problem[]
  readonly snapshot: ConfigSnapshot
}

export interface FleetOptions extends GatewayOptions {
  /** The configuration as it was read: workers start with that, whatever is on the disk by then. */
  readonly files: FileSnapshot
  /** The YAML's path, as it was given. */
  readonly path: string
}

export interface RunningGateway extends AsyncDisposable {
  readonly addresses: readonly string[]
  /** Watches the files of the configuration and takes what they say when they change, until it is disposed. */
  followConfig(first: ServedConfig, read: (snapshot: ConfigSnapshot) => Promise<ServedConfig>): Promise<Following>
  /** Stops taking requests, lets the running ones finish, cuts what is left at the deadline. */
  drain(): Promise<void>
  /** Ends now. */
  cut(): void
  /** Replaces one worker after the other by a new one; a single process has none. */
  roll?(): Promise<void>
}

/** Somebody who takes changed configurations. */
export interface Following extends AsyncDisposable {
  /** Reads the configuration again, even if nothing has changed. Never rejects. */
  reload(): Promise<unknown>
}

/** What the `sessions` commands need of a configuration's sessions. */
export interface SessionTools extends AsyncDisposable {
  readonly engine: SessionEngine
  readonly publicId: (key: string) => string
  /** Undefined where `session.user_id` does not say whose a session is. */
  readonly userSessions: UserSessions | undefined
  /** The configured size of a batch of `clear-expired`. */
  readonly clearBatch: number
}

/** `json` holds the data in its source text. */
export type DecodedText =
  | { readonly ok: true; readonly json: string; readonly signedAt: number; readonly key: string }
  | { readonly ok: false; readonly reason: string }

export interface ExplainQuestion {
  readonly method: string
  readonly url: string
  /** A session's public id; undefined = a visitor without one. */
  readonly sessionId: string | undefined
}

export interface Explanation {
  readonly target: string
  readonly route: string | undefined
  readonly goesUpAs?: string
  readonly rules: readonly { readonly id: string; readonly hit: boolean; readonly missedBy?: string }[]
  readonly outcome: string
  readonly status: number | undefined
  readonly location: string | undefined
  readonly reason: string | undefined
  /** Header lines that would go up, values masked. */
  readonly headersUp: readonly { readonly name: string; readonly value: string }[]
}

/** Ends a command with an exit code and, on stderr, the reason. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(exitCode: number, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
