import type { Item } from '../cell.ts'
import { SqliteLog } from './sqlite-log.ts'
import { batchOf } from './way.ts'
import type { Way } from './way.ts'

/** `node:sqlite` by hand in the layout of `@sluice/local`, in the caller's own thread. */
export class SqliteWay implements Way {
  readonly #folder: string
  #log: SqliteLog
  #warmUps = 0

  constructor(folder: string) {
    this.#folder = folder
    this.#log = new SqliteLog(folder, 'bench.db', partitions)
  }

  async warmUp(items: readonly Item[], window: number): Promise<void> {
    const bench = this.#log
    this.#log = new SqliteLog(this.#folder, `warm-up-${++this.#warmUps}.db`, partitions)
    await this.sendAll((index) => items[index] as Item, items.length, window)
    await this.consume('bench', items.length, () => undefined)
    this.#log.close()
    this.#log = bench
  }

  sendAll(itemAt: (index: number) => Item, records: number, window: number): Promise<void> {
    const batch = batchOf(window)
    for (let done = 0; done < records; done += batch) {
      const length = Math.min(batch, records - done)
      this.#log.append(Array.from({ length }, (_, index) => itemAt(done + index)))
    }
    return Promise.resolve()
  }

  send(item: Item): Promise<void> {
    this.#log.append([item])
    return Promise.resolve()
  }

  consume(_group: string, records: number, handler: (item: Item) => void): Promise<void> {
    let seen = 0
    this.#log.rewind()
    this.#log.consume(({ key, value }) => {
      seen++
      handler({ key, value } as Item)
    })
    if (seen !== records) throw new Error(`by hand: ${seen} of ${records} records came back`)
    return Promise.resolve()
  }

  /** Reads after each append, in the same thread: the least there can be. */
  follow(handler: (item: Item) => void): Promise<() => Promise<void>> {
    const onAppend = (): void => this.#log.consume(({ key, value }) => handler({ key, value } as Item))
    onAppend()
    this.#log.onAppend = onAppend
    return Promise.resolve(() => {
      this.#log.onAppend = undefined
      return Promise.resolve()
    })
  }

  close(): Promise<void> {
    this.#log.close()
    return Promise.resolve()
  }
}

const partitions = 4
