import { integer, required } from '../shape.ts'
import { invalidArgument } from '../service-error.ts'
import type { Stream } from '../stream.ts'
import { byNameOrArn, operation } from './operation.ts'
import type { Operation, Operations } from './operation.ts'
import { active } from './states.ts'

/** Hours. Source: API reference, `IncreaseStreamRetentionPeriod`. */
const [shortest, longest] = [24, 8_760]

export const retentionOperations: Operations = {
  IncreaseStreamRetentionPeriod: changing((stream, hours) => {
    if (hours < stream.retentionHours)
      throw invalidArgument(
        `Requested retention period (${hours} hours) for stream ${stream.name} can not be shorter than existing retention period (${stream.retentionHours} hours). Use DecreaseRetentionPeriod API.`,
      )
  }),
  DecreaseStreamRetentionPeriod: changing((stream, hours) => {
    if (hours > stream.retentionHours)
      throw invalidArgument(
        `Requested retention period (${hours} hours) for stream ${stream.name} can not be longer than existing retention period (${stream.retentionHours} hours). Use IncreaseRetentionPeriod API.`,
      )
  }),
}

function changing(check: (stream: Stream, hours: number) => void): Operation {
  return operation({ ...byNameOrArn, RetentionPeriodHours: required(integer()) }, (input, { service, region }) => {
    const stream = service.stream(region, input)
    const hours = input.RetentionPeriodHours
    if (hours < shortest)
      throw invalidArgument(
        `Minimum allowed retention period is ${shortest} hours. Requested retention period (${hours} hours) is too short.`,
      )
    if (hours > longest)
      throw invalidArgument(
        `Maximum allowed retention period is ${longest} hours. Requested retention period (${hours} hours) is too long.`,
      )
    check(stream, hours)
    active(stream).retentionHours = hours
    service.changed(region, stream)
    service.trim(region, stream)
    return undefined
  })
}
