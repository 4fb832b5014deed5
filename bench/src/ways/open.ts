import type { Cell } from '../cell.ts'
import { KinesisWay } from './kinesis.ts'
import { LifionWay } from './lifion.ts'
import { NatsWay } from './nats.ts'
import { SegmentWay } from './segment.ts'
import { SluiceWay } from './sluice.ts'
import { SqliteWay } from './sqlite.ts'
import type { Way } from './way.ts'

/** The ways there are. */
export type WayName =
  | 'sluice'
  | 'sqlite'
  | 'segment'
  | 'nats'
  | 'nats-in-order'
  | 'kinesis'
  | 'kinesis-in-order'
  | 'lifion'

/** Opens a way at an address, or in a folder that is there. */
export async function openWay(name: WayName, place: string, cell: Cell): Promise<Way> {
  switch (name) {
    case 'sluice':
      return SluiceWay.open(place, cell)
    case 'sqlite':
      return new SqliteWay(place)
    case 'segment':
      return new SegmentWay(place)
    case 'nats':
      return NatsWay.open(place, cell, false)
    case 'nats-in-order':
      return NatsWay.open(place, cell, true)
    case 'kinesis':
      return KinesisWay.open(place)
    case 'kinesis-in-order':
      return KinesisWay.open(place, true)
    case 'lifion':
      return LifionWay.open(place)
  }
}
