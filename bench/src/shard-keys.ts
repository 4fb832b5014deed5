import { createHash } from 'node:crypto'

/** Keys that the service puts into a shard of a stream that was not resharded: by the beginning of their MD5. */
export function keysOfShard(shard: number, shards: number, count: number): readonly string[] {
  const keys: string[] = []
  for (let index = 0; keys.length < count; index++) {
    const key = `key-${index}`
    const first = createHash('md5').update(key).digest()[0] ?? 0
    if (Math.floor((first * shards) / 256) === shard) keys.push(key)
  }
  return keys
}
