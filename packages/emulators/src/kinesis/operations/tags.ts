import { integer, list, required, text, textMap } from '../shape.ts'
import type { TextRules } from '../shape.ts'
import { invalidArgument, notFound } from '../service-error.ts'
import type { Resource, Stream } from '../stream.ts'
import { byNameOrArn, operation } from './operation.ts'
import type { Call, Operations } from './operation.ts'

/** What a tag may be. Source: API reference, `Tag`. */
export const tagRules: { readonly key: TextRules; readonly value: TextRules } = {
  key: { min: 1, max: 128 },
  value: { max: 256 },
}

/** Of keys and values. Source: API reference, `Tag`. */
const tagCharacters = /^[\p{L}\p{N}\s_./=+\-%@]*$/u

/** Tags of one stream. Source: API reference, `AddTagsToStream`. */
const mostTags = 50

const tags = required(textMap({ min: 1, max: 200 }, tagRules.key, tagRules.value))
const tagKeys = required(list(text({ min: 1, max: 128 }), { min: 1, max: 50 }))
const resourceArn = required(
  text({ min: 1, max: 2_048, pattern: String.raw`arn:aws[^:]*:kinesis:[^:]*:\d{12}:[^:]*stream/\S+` }),
)

export const tagOperations: Operations = {
  AddTagsToStream: operation({ ...byNameOrArn, Tags: tags }, (input, { service, region }) => {
    const stream = service.stream(region, input)
    setTags(stream.tags, input.Tags)
    service.changed(region, stream)
    return undefined
  }),

  RemoveTagsFromStream: operation({ ...byNameOrArn, TagKeys: tagKeys }, (input, { service, region }) => {
    const stream = service.stream(region, input)
    for (const key of input.TagKeys) stream.tags.delete(key ?? '')
    service.changed(region, stream)
    return undefined
  }),

  ListTagsForStream: operation(
    {
      ...byNameOrArn,
      ExclusiveStartTagKey: text({ min: 1, max: 128 }),
      Limit: integer({ min: 1, max: 50 }),
    },
    (input, { service, region }) => {
      const all = shown(service.stream(region, input)).filter(({ Key }) => Key > (input.ExclusiveStartTagKey ?? ''))
      const page = all.slice(0, input.Limit ?? 50)
      return { Tags: page, HasMoreTags: page.length < all.length }
    },
  ),

  TagResource: operation({ ResourceARN: resourceArn, Tags: tags }, (input, call) => {
    const { resource, stream } = resourceOf(call, input.ResourceARN)
    setTags(resource.tags, input.Tags)
    call.service.changed(call.region, stream)
    return undefined
  }),

  UntagResource: operation({ ResourceARN: resourceArn, TagKeys: tagKeys }, (input, call) => {
    const { resource, stream } = resourceOf(call, input.ResourceARN)
    for (const key of input.TagKeys) resource.tags.delete(key ?? '')
    call.service.changed(call.region, stream)
    return undefined
  }),

  ListTagsForResource: operation({ ResourceARN: resourceArn }, (input, call) => ({
    Tags: shown(resourceOf(call, input.ResourceARN).resource),
  })),

  PutResourcePolicy: operation({ ResourceARN: resourceArn, Policy: required(text()) }, (input, call) => {
    const { resource, stream } = resourceOf(call, input.ResourceARN)
    resource.policy = input.Policy
    call.service.changed(call.region, stream)
    return undefined
  }),

  GetResourcePolicy: operation({ ResourceARN: resourceArn }, (input, call) => {
    const { policy } = resourceOf(call, input.ResourceARN).resource
    if (policy === undefined) throw notFound(`No resource policy found for resource ARN ${input.ResourceARN}`)
    return { Policy: policy }
  }),

  DeleteResourcePolicy: operation({ ResourceARN: resourceArn }, (input, call) => {
    const { resource, stream } = resourceOf(call, input.ResourceARN)
    if (resource.policy === undefined) throw notFound(`No resource policy found for resource ARN ${input.ResourceARN}`)
    resource.policy = undefined
    call.service.changed(call.region, stream)
    return undefined
  }),
}

/** Sets tags, unless they would be too many, or have characters that they may not have. */
export function setTags(tags: Map<string, string>, more: ReadonlyMap<string, string>): void {
  if ([...more].flat().some((text) => !tagCharacters.test(text)))
    throw invalidArgument(
      'Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.',
    )
  if (new Set([...tags.keys(), ...more.keys()]).size > mostTags)
    throw invalidArgument(`Failed to add tags to stream: a stream cannot have more than ${mostTags} tags.`)
  for (const [key, value] of more) tags.set(key, value)
}

function shown({ tags }: Resource): readonly { readonly Key: string; readonly Value: string }[] {
  return [...tags].map(([Key, Value]) => ({ Key, Value })).toSorted((a, b) => (a.Key < b.Key ? -1 : 1))
}

/** A stream, or one of its consumers. */
function resourceOf({ service, region }: Call, arn: string): { readonly resource: Resource; readonly stream: Stream } {
  const [streamArn = '', consumerName] = arn.split('/consumer/')
  const stream = service.stream(region, { StreamARN: streamArn })
  if (consumerName === undefined) return { resource: stream, stream }
  const consumer = [...stream.consumers.values()].find((one) => one.arn === arn)
  if (consumer === undefined) throw notFound(`Consumer ${arn} not found.`)
  return { resource: consumer, stream }
}
