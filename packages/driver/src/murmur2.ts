const multiplier = 0x5bd1e995

/**
 * 32-bit murmur2 with the seed of the Java Kafka client, as a signed integer.
 * Source: org.apache.kafka.common.utils.Utils#murmur2.
 */
export function murmur2(data: Uint8Array): number {
  const length = data.length
  let hash = 0x9747b28c ^ length
  const blocks = length & ~3
  for (let i = 0; i < blocks; i += 4) {
    let k = byte(data, i) | (byte(data, i + 1) << 8) | (byte(data, i + 2) << 16) | (byte(data, i + 3) << 24)
    k = Math.imul(k, multiplier)
    k ^= k >>> 24
    k = Math.imul(k, multiplier)
    hash = Math.imul(hash, multiplier) ^ k
  }
  const rest = length & 3
  if (rest === 3) hash ^= byte(data, blocks + 2) << 16
  if (rest >= 2) hash ^= byte(data, blocks + 1) << 8
  if (rest >= 1) hash = Math.imul(hash ^ byte(data, blocks), multiplier)
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}

const encoder = new TextEncoder()

/**
 * The partition index of a key among `count` partitions, equal to the Java Kafka client's for every key.
 * Source: BuiltInPartitioner#partitionForKey.
 */
export function partitionForKey(key: string | Uint8Array, count: number): number {
  const bytes = typeof key === 'string' ? encoder.encode(key) : key
  return (murmur2(bytes) & 0x7fffffff) % count
}

function byte(data: Uint8Array, index: number): number {
  return data[index] ?? 0
}
