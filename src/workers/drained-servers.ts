import type { Config } from '../config/config.ts'
import { readServerAddress } from '../proxy/server-address.ts'
import type { ServerPlace } from './operation-messages.ts'

/** The servers that the operator has taken out, for the workers that start later. */
export class DrainedServers {
  #places: readonly ServerPlace[] = []

  get places(): readonly ServerPlace[] {
    return this.#places
  }

  note(place: ServerPlace, isDrained: boolean): void {
    const others = this.#places.filter(({ upstream, server }) => upstream !== place.upstream || server !== place.server)
    this.#places = isDrained ? [...others, place] : others
  }

  /** A server that the configuration does not have any more is forgotten, as workers forget it. */
  keepOnly({ upstreams }: Pick<Config, 'upstreams'>): void {
    this.#places = this.#places.filter(({ upstream, server }) =>
      upstreams.get(upstream)?.servers.some((origin) => readServerAddress(origin).label === server),
    )
  }
}
