/** `1 message`, `2 messages`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

const units = [
  ['day', 86_400_000, 'd'],
  ['hour', 3_600_000, 'h'],
  ['minute', 60_000, 'm'],
  ['second', 1_000, 's'],
  ['millisecond', 1, 'ms'],
] as const

/** A duration in the largest unit that it is a whole number of: `7 days`, `90 minutes`. */
export function durationWords(ms: number): string {
  const [unit, length] = unitOf(ms)
  return counted(ms / length, unit)
}

/** The same as an option takes it: `7d`, `90m`. */
export function durationOption(ms: number): string {
  const [, length, sign] = unitOf(ms)
  return `${ms / length}${sign}`
}

function unitOf(ms: number): (typeof units)[number] {
  return units.find(([, each]) => ms >= each && ms % each === 0) ?? units[4]
}
