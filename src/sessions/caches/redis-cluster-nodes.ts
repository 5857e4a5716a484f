/** A server of a cluster that holds sessions, or may soon. */
export interface ClusterMaster {
  readonly id: string
  /** Empty if it is the one that was asked, and does not know. */
  readonly ip: string
  readonly port: number
  /** Empty if it announces none. */
  readonly hostname: string
}

/** A cluster as one of its servers sees it. */
export interface ClusterView {
  /** The id of the server that was asked. */
  readonly self: string
  readonly masters: readonly ClusterMaster[]
  /** Which masters there are and who has which slots: the same text wherever it is asked, as soon as all agree. */
  readonly layout: string
}

/** What CLUSTER NODES answers; undefined if it is nothing of that kind. */
export function parseClusterNodes(text: string): ClusterView | undefined {
  const masters: ClusterMaster[] = []
  const parts: string[] = []
  let self: string | undefined
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const [id = '', address = '', flagText = '', , , , , , ...ranges] = line.trim().split(' ')
    const place = /^(.*):(\d+)@\d+(?:,([^,]*))?/.exec(address)
    if (!place) return undefined
    const flags = flagText.split(',')
    if (flags.includes('myself')) self = id
    // In brackets: slots on their way to or from this server, which only it knows of.
    const slots = ranges.filter((range) => !range.startsWith('['))
    if (!isWanted(flags, slots.length > 0)) continue
    const [, ip = '', port = '', hostname = ''] = place
    masters.push({ id, ip, port: Number(port), hostname })
    parts.push(`${id} ${slots.join(' ')}`)
  }
  if (self === undefined) return undefined
  return { self, masters, layout: parts.sort().join('\n') }
}

/** Whoever has slots is; of the others those that could be given some. */
function isWanted(flags: readonly string[], hasSlots: boolean): boolean {
  if (!flags.includes('master') || flags.includes('handshake')) return false
  return hasSlots || !(flags.includes('fail') || flags.includes('noaddr'))
}

/**
 * The first server of each range that CLUSTER SLOTS answers, by its id; the host is empty where it is that of the server
 * which was asked. Undefined if it is nothing of that kind.
 */
export function parseSlotOwners(reply: unknown): ReadonlyMap<string, { host: string; port: number }> | undefined {
  if (!Array.isArray(reply)) return undefined
  const owners = new Map<string, { host: string; port: number }>()
  for (const range of reply as readonly unknown[]) {
    const [, , master] = Array.isArray(range) ? (range as readonly unknown[]) : []
    const [host, port, id] = Array.isArray(master) ? (master as readonly unknown[]) : []
    if (typeof port !== 'number' || !Buffer.isBuffer(id)) return undefined
    const name = host === null || host === undefined ? '' : String(host)
    // '?': it announces a name and has none.
    owners.set(String(id), { host: name === '?' ? '' : name, port })
  }
  return owners
}
