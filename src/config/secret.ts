import { inspect } from 'node:util'

const redacted = '[redacted]'

/**
 * A value from the configuration that nobody may read in a log. Printing, inspecting, concatenating or serialising it
 * gives `[redacted]`; only {@link Secret.reveal} gives the text, so that every place which needs it can be found.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text itself. Call it where the value is used, and keep the result out of messages. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  [inspect.custom](): string {
    return redacted
  }
}
