import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '../result.ts'
import { toHtml } from './html.ts'
import { makeFolder } from './make-folder.ts'
import { toMarkdown } from './markdown.ts'

/** Writes `conformance.json`, `conformance.md` and `conformance.html` into the folder, which is made when missing. */
export async function writeReport(report: Report, folder: string): Promise<void> {
  makeFolder(folder)
  await Promise.all([
    writeFile(join(folder, 'conformance.json'), `${JSON.stringify(report, undefined, 2)}\n`),
    writeFile(join(folder, 'conformance.md'), toMarkdown(report)),
    writeFile(join(folder, 'conformance.html'), toHtml(report)),
  ])
}

/** Puts the reports of several runs together, in that order. */
export function mergeReports(reports: readonly Report[]): Report {
  return {
    version: 1,
    startedAt: reports[0]?.startedAt ?? new Date().toISOString(),
    node: reports[0]?.node ?? process.version,
    backends: reports.flatMap((report) => report.backends),
  }
}
