/** A cache that a Django project and the gateway share. */
export interface SharedCache {
  readonly client: CacheClient
  /** LOCATION: `redis://127.0.0.1:6379/1`, `127.0.0.1:11211`. */
  readonly location: string
  readonly keyPrefix: string
}

/** How Django reaches the cache: its backend, and how that writes values where there is a choice. */
export type CacheClient = 'RedisCache' | 'django-redis' | 'django-redis with JSON' | 'PyMemcacheCache'

const backends: Readonly<Record<CacheClient, { readonly BACKEND: string; readonly OPTIONS?: object }>> = {
  RedisCache: { BACKEND: 'django.core.cache.backends.redis.RedisCache' },
  'django-redis': { BACKEND: 'django_redis.cache.RedisCache' },
  'django-redis with JSON': {
    BACKEND: 'django_redis.cache.RedisCache',
    OPTIONS: { SERIALIZER: 'django_redis.serializers.json.JSONSerializer' },
  },
  PyMemcacheCache: { BACKEND: 'django.core.cache.backends.memcached.PyMemcacheCache' },
}

/** `CACHES['default']` of the project. */
export function djangoCache({ client, location, keyPrefix }: SharedCache): object {
  return { ...backends[client], LOCATION: location, KEY_PREFIX: keyPrefix }
}

/** `caches.default` of the gateway's configuration. */
export function gatewayCacheYaml({ client, location, keyPrefix }: SharedCache): string {
  const backend = client === 'PyMemcacheCache' ? 'memcached' : 'redis'
  const serializer = client === 'django-redis with JSON' ? 'json' : 'pickle'
  return `{ backend: ${backend}, url: "${location}", key_prefix: "${keyPrefix}", serializer: ${serializer} }`
}
