/**
 * Which server the next request goes to: each in turn; the one with the fewest requests under way; or the one that the
 * session has always gone to.
 */
export type Balance = 'round_robin' | 'least_conn' | 'hash_session'

/** A server, as far as the choice is concerned. */
export interface Candidate {
  /** Requests and tunnels under way there. */
  readonly load: number
  /** `hashOf` its name. */
  readonly seed: number
}

/** Chooses one of at least one. `affinity` is the text whose owner shall stay with one server; undefined = nobody's. */
export type Choose = <C extends Candidate>(candidates: readonly C[], affinity: string | undefined) => C

/** The way to choose, with its memory of whose turn it is. */
export function createChoice(balance: Balance): Choose {
  const takeTurn = createTurns()
  if (balance === 'round_robin') return takeTurn
  if (balance === 'least_conn') return (candidates) => leastLoaded(candidates, takeTurn)
  return (candidates, affinity) =>
    affinity === undefined ? takeTurn(candidates, affinity) : highestRanked(candidates, hashOf(affinity))
}

function createTurns(): Choose {
  let turn = 0
  return (candidates) => {
    const candidate = candidates[turn % candidates.length]
    turn = (turn + 1) % Number.MAX_SAFE_INTEGER
    return candidate ?? nobody()
  }
}

/** Among equals each in turn: a quiet upstream would otherwise only ever use its first server. */
function leastLoaded<C extends Candidate>(candidates: readonly C[], takeTurn: Choose): C {
  let best = takeTurn(candidates, undefined)
  for (const candidate of candidates) if (candidate.load < best.load) best = candidate
  return best
}

/**
 * Rendezvous hashing: every pair of a session and a server has a rank, and the highest one present wins. When a server
 * goes, only its own sessions move, and they move back when it returns. All machines come to the same result.
 */
function highestRanked<C extends Candidate>(candidates: readonly C[], hash: number): C {
  let best: C | undefined
  let bestRank = -1
  for (const candidate of candidates) {
    const rank = mix(hash ^ candidate.seed)
    if (rank > bestRank) {
      best = candidate
      bestRank = rank
    }
  }
  return best ?? nobody()
}

/** FNV-1a, 32 bits. Nobody has to be kept from guessing it: keys of sessions are made by us. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** Murmur's last step: one bit of difference going in turns about half of the bits coming out. */
function mix(value: number): number {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function nobody(): never {
  throw new TypeError('there is no server to choose from')
}
