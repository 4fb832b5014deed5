const newline = 0x0a
const carriageReturn = 0x0d
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

/**
 * The lines of a file or of stdin as bytes, without their ends (`\n` or `\r\n`) and without a byte order mark before the
 * first. Bytes, so that whoever reads them can refuse those that are no text. Rejects with the error of the input.
 */
export async function* readLines(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isFirst = true
  for await (const line of split(input)) {
    const end = line.at(-1) === carriageReturn ? -1 : undefined
    yield line.subarray(isFirst && startsWithMark(line) ? byteOrderMark.length : 0, end)
    isFirst = false
  }
}

async function* split(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  /** The pieces of a line that has not ended: joined once, however long it is. */
  let begun: Uint8Array[] = []
  for await (const chunk of input) {
    let from = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      begun.push(chunk.subarray(from, end))
      yield Buffer.concat(begun)
      begun = []
      from = end + 1
    }
    if (from < chunk.length) begun.push(chunk.subarray(from))
  }
  if (begun.length > 0) yield Buffer.concat(begun)
}

function startsWithMark(line: Uint8Array): boolean {
  return byteOrderMark.equals(line.subarray(0, byteOrderMark.length))
}
