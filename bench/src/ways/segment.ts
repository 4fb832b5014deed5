import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Item } from '../cell.ts'
import { encode } from './frame.ts'
import { batchOf } from './way.ts'
import type { Way } from './way.ts'

const chunkBytes = 4 * 1024 * 1024

/** One file that only grows, and `fdatasync` after each batch: no partitions, no index, no recovery. What a disk can do. */
export class SegmentWay implements Way {
  readonly #folder: string
  #file: number
  #warmUps = 0
  /** Where {@link follow} has read to. */
  #followed: number | undefined
  #onAppend: (() => void) | undefined

  constructor(folder: string) {
    this.#folder = folder
    this.#file = openSync(join(folder, 'bench.log'), 'a+')
  }

  async warmUp(items: readonly Item[], window: number): Promise<void> {
    const bench = this.#file
    this.#file = openSync(join(this.#folder, `warm-up-${++this.#warmUps}.log`), 'a+')
    await this.sendAll((index) => items[index] as Item, items.length, window)
    await this.consume('bench', items.length, () => undefined)
    closeSync(this.#file)
    this.#file = bench
  }

  sendAll(itemAt: (index: number) => Item, records: number, window: number): Promise<void> {
    const batch = batchOf(window)
    for (let done = 0; done < records; done += batch) {
      const length = Math.min(batch, records - done)
      this.#append(Array.from({ length }, (_, index) => itemAt(done + index)))
    }
    return Promise.resolve()
  }

  send(item: Item): Promise<void> {
    this.#append([item])
    return Promise.resolve()
  }

  consume(_group: string, records: number, handler: (item: Item) => void): Promise<void> {
    let seen = 0
    this.#read(0, (item) => {
      seen++
      handler(item)
    })
    if (seen !== records) throw new Error(`by hand: ${seen} of ${records} records came back`)
    return Promise.resolve()
  }

  follow(handler: (item: Item) => void): Promise<() => Promise<void>> {
    this.#followed = this.#read(0, () => undefined)
    this.#onAppend = () => (this.#followed = this.#read(this.#followed ?? 0, handler))
    return Promise.resolve(() => {
      this.#onAppend = undefined
      return Promise.resolve()
    })
  }

  close(): Promise<void> {
    closeSync(this.#file)
    return Promise.resolve()
  }

  #append(items: readonly Item[]): void {
    writeSync(this.#file, Buffer.concat(items.map(encode)))
    fdatasyncSync(this.#file)
    this.#onAppend?.()
  }

  /** Hands out what is whole behind `from`; returns where it ends. */
  #read(from: number, handler: (item: Item) => void): number {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    for (let at = from; ;) {
      const length = readSync(this.#file, chunk, 0, chunkBytes, at)
      let taken = 0
      while (taken + 4 <= length && taken + chunk.readUInt32LE(taken) <= length) {
        const end = taken + chunk.readUInt32LE(taken)
        handler(decode(chunk.subarray(taken, end)))
        taken = end
      }
      if (taken === 0) return at
      at += taken
    }
  }
}

function decode(frame: Buffer): Item {
  const idEnd = 12 + frame.readUInt32LE(4)
  const keyEnd = idEnd + frame.readUInt32LE(8)
  return {
    key: frame.toString('latin1', idEnd, keyEnd),
    value: JSON.parse(frame.toString('utf8', keyEnd)) as Item['value'],
  }
}
