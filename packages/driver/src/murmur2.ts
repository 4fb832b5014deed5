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
const scratch = new Uint8Array(256)

/**
 * The partition index of a key among `count` partitions, equal to the Java Kafka client's for every key.
 * Source: BuiltInPartitioner#partitionForKey.
 */
export function partitionForKey(key: string | Uint8Array, count: number): number {
  return (murmur2(typeof key === 'string' ? utf8(key) : key) & 0x7fffffff) % count
}

/** The text's bytes; valid until the next call. A loop beats the encoder for short ASCII text. */
function utf8(text: string): Uint8Array {
  const { length } = text
  if (length > scratch.length) return encoder.encode(text)
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return encoder.encode(text)
    scratch[i] = unit
  }
  return scratch.subarray(0, length)
}

function byte(data: Uint8Array, index: number): number {
  return data[index] ?? 0
}
