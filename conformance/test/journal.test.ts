import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Journal, readJournal } from '../src/crash/journal.ts'

it('goes on behind the last whole line: a kill may have cut the one after it off', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-journal-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const path = join(folder, 'journal.jsonl')
  const write = (line: number): void => {
    const journal = new Journal<number>(path)
    journal.write(line)
    journal.close()
  }
  expect(readJournal(path)).toEqual([])
  write(1)
  await appendFile(path, '{"half')
  expect(readJournal(path)).toEqual([1])
  write(2)
  write(3)
  expect(readJournal(path)).toEqual([1, 2, 3])
})
