import { readFileSync } from 'node:fs'

/** What may be stolen of a turn that counts as calm: the kernel counts in hundredths of a second. */
const allowedMs = 10

/** Milliseconds of CPU, of all cores, that a hypervisor gave to others since the machine began: `steal` in proc_stat(5). 0 where no system tells. */
function stolenMs(): number {
  if (process.platform !== 'linux') return 0
  const [, , , , , , , , ticks] = readFileSync('/proc/stat', 'utf8').split(/\s+/, 9)
  return Number(ticks) * 10
}

/** Takes a turn again in which a hypervisor gave our cores to others, as long as there are any to spare: it says nothing of who had the turn. */
export class Calm {
  #toSpare: number
  #turns = 0
  #disturbed = 0

  constructor(toSpare: number) {
    this.#toSpare = toSpare
  }

  async turn<T>(work: () => Promise<T>): Promise<T> {
    this.#turns++
    for (;;) {
      const before = stolenMs()
      const result = await work()
      if (stolenMs() - before <= allowedMs) return result
      if (this.#toSpare === 0) {
        this.#disturbed++
        return result
      }
      this.#toSpare--
    }
  }

  /** How many of its turns counted though they were disturbed. */
  toString(): string {
    return `${this.#disturbed} of ${this.#turns} turns disturbed`
  }
}
