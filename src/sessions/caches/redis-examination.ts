import { type Diagnosis, diagnoseClock, good, warning } from '../../lib/diagnosis.ts'
import { RedisFailure } from './redis-failure.ts'
import { RedisLink } from './redis-link.ts'
import type { RedisSender } from './redis-scripts.ts'
import { type RedisServers, redisServersName } from './redis-servers.ts'

export interface RedisExamination {
  readonly servers: RedisServers
  /** For each question, in milliseconds. */
  readonly timeoutMs: number
}

/**
 * What Redis says of itself: version, clock, and whether it throws sessions away when it is full. Its user may be allowed
 * less than is asked here, since the gateway needs none of it; then that is told, and nothing is wrong.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when it cannot be reached.
 */
export async function examineRedis({ servers, timeoutMs }: RedisExamination): Promise<Diagnosis[]> {
  await using link = new RedisLink({ servers, timeoutMs })
  const name = redisServersName(servers)
  const ask = async (command: string, ...args: string[]): Promise<unknown> =>
    await link.run({
      what: `asking for ${command}`,
      isRead: true,
      perform: (client: RedisSender) => allowed(client.send(command, ...args)),
    })
  const from = Date.now()
  const clock = await ask('time')
  const span = [from, Date.now()] as const
  const info = await ask('info')
  return [
    ...(isTime(clock) ? [diagnoseClock('Redis', Number(clock[0]) * 1000 + Number(clock[1]) / 1000, span)] : []),
    ...(info === undefined
      ? [
          good(
            `${name} does not tell this user about itself (INFO)`,
            'look at its maxmemory-policy: noeviction is right',
          ),
        ]
      : diagnoseInfo(name, String(info))),
  ]
}

/** What the text of INFO says about keeping sessions. */
export function diagnoseInfo(name: string, info: string): Diagnosis[] {
  const value = (key: string): string | undefined => new RegExp(`^${key}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const version = value('redis_version')
  const diagnoses = version === undefined ? [] : [good(`${name} is version ${version}`)]
  if (version !== undefined && Number(version.split('.')[0]) < 6) {
    diagnoses.push(warning(`Redis ${version} is older than 6, the oldest that is supported`, 'take a newer one'))
  }
  const policy = value('maxmemory_policy') ?? 'noeviction'
  const isBounded = Number(value('maxmemory') ?? 0) > 0
  if (policy !== 'noeviction' && isBounded) {
    const advice = 'CONFIG SET maxmemory-policy noeviction, and in redis.conf; other data into another Redis'
    diagnoses.push(warning(`when Redis is full it throws sessions away (maxmemory-policy ${policy})`, advice))
  } else {
    diagnoses.push(good(`Redis throws no sessions away (${isBounded ? 'noeviction' : 'no maxmemory is set'})`))
  }
  return diagnoses
}

/** Undefined where the user may not ask that. */
async function allowed(reply: Promise<unknown>): Promise<unknown> {
  try {
    return await reply
  } catch (error) {
    const { message } = error instanceof Error ? error : { message: '' }
    if (/^NOPERM|unknown command/i.test(message) || (error instanceof RedisFailure && error.code === 'NOPERM'))
      return undefined
    throw error
  }
}

function isTime(reply: unknown): reply is readonly [unknown, unknown] {
  return Array.isArray(reply) && reply.length === 2
}
