/** A record as it is kept. */
export interface KeptRecord {
  readonly arrivalMs: number
  readonly partitionKey: string
  readonly data: Buffer
  readonly encrypted: boolean
}

const [smallestPage, largestPage] = [4 * 1024, 256 * 1024]
const mostInPage = 1_024

/** Some records, one behind the other in one piece of memory. */
class Page {
  readonly #bytes: Buffer
  readonly #arrivals: Float64Array
  /** Where the data of a record ends, and where the key behind it does. */
  readonly #dataEnds: Uint32Array
  readonly #keyEnds: Uint32Array
  readonly #encrypted: Uint8Array
  #count = 0

  /** Room for so many bytes and records, whichever is used up first. */
  constructor(bytes: number, records: number) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes)
    this.#arrivals = new Float64Array(records)
    this.#dataEnds = new Uint32Array(records)
    this.#keyEnds = new Uint32Array(records)
    this.#encrypted = new Uint8Array(records)
  }

  get count(): number {
    return this.#count
  }

  get capacity(): number {
    return this.#bytes.length
  }

  /** Takes a record; `false`: it has no room. */
  append(record: KeptRecord): boolean {
    const start = this.#startOf(this.#count)
    const dataEnd = start + record.data.length
    const keyEnd = dataEnd + Buffer.byteLength(record.partitionKey)
    if (this.#count === this.#arrivals.length || keyEnd > this.#bytes.length) return false
    record.data.copy(this.#bytes, start)
    this.#bytes.write(record.partitionKey, dataEnd)
    const at = this.#count++
    this.#arrivals[at] = record.arrivalMs
    this.#dataEnds[at] = dataEnd
    this.#keyEnds[at] = keyEnd
    this.#encrypted[at] = record.encrypted ? 1 : 0
    return true
  }

  at(index: number): KeptRecord {
    const dataEnd = this.#dataEnds[index] ?? 0
    return {
      arrivalMs: this.arrivalOf(index),
      data: this.#bytes.subarray(this.#startOf(index), dataEnd),
      partitionKey: this.#bytes.toString('utf8', dataEnd, this.#keyEnds[index]),
      encrypted: this.#encrypted[index] === 1,
    }
  }

  arrivalOf(index: number): number {
    return this.#arrivals[index] ?? 0
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : (this.#keyEnds[index - 1] ?? 0)
  }
}

/** The records of a shard, by their places, in little more memory than they take themselves. */
export class RecordLog {
  readonly #pages: { readonly page: Page; readonly first: number }[] = []
  #first: number
  #next: number

  /** `first`: the place of the first record that will come. */
  constructor(first: number) {
    this.#first = first
    this.#next = first
  }

  /** The place of the oldest record that is there, or of the next one. */
  get first(): number {
    return this.#first
  }

  /** The place of the next record. */
  get next(): number {
    return this.#next
  }

  append(record: KeptRecord): void {
    const last = this.#pages.at(-1)?.page
    if (last?.append(record) !== true) this.#newPage(record, last?.capacity ?? 0).append(record)
    this.#next++
  }

  /** The record at a place between `first` and `next`. */
  at(place: number): KeptRecord {
    const { page, first } = this.#pageOf(place)
    return page.at(place - first)
  }

  arrivalOf(place: number): number {
    const { page, first } = this.#pageOf(place)
    return page.arrivalOf(place - first)
  }

  /** Forgets what is below a place. */
  trim(below: number): void {
    this.#first = Math.max(this.#first, Math.min(below, this.#next))
    let gone = 0
    for (const { page, first } of this.#pages) {
      if (first + page.count > this.#first) break
      gone++
    }
    this.#pages.splice(0, gone)
  }

  /** Pages grow with the log, so that a thousand shards with little in them take little. */
  #newPage(record: KeptRecord, before: number): Page {
    const needed = record.data.length + Buffer.byteLength(record.partitionKey)
    const bytes = Math.max(needed, Math.min(largestPage, Math.max(smallestPage, before * 2)))
    // Those to come are about as large as this one.
    const page = new Page(bytes, Math.min(mostInPage, Math.ceil(bytes / Math.max(1, needed))))
    this.#pages.push({ page, first: this.#next })
    return page
  }

  #pageOf(place: number): { readonly page: Page; readonly first: number } {
    let [low, high] = [0, this.#pages.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#pages[middle]?.first ?? 0) <= place) low = middle
      else high = middle - 1
    }
    const found = this.#pages[low]
    if (found === undefined || place < this.#first || place >= this.#next)
      throw new RangeError(`there is no record at place ${place}`)
    return found
  }
}
