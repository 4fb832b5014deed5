import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Names a member so that anybody on this machine can tell whether its process still lives. */
export function ownerName(host: string, processId: number, nonce: string, member: string): string {
  return `${host}/${processId}/${nonce}/${member}`
}

/** The member in an owner's name. */
export function memberOf(owner: string): string {
  return owner.split('/').slice(3).join('/')
}

/** This machine, and on Linux the process namespace: process ids mean something only inside it. */
export function thisHost(): string {
  const name = hostname().replaceAll('/', '_')
  try {
    return `${name}.${readlinkSync('/proc/self/ns/pid').replaceAll(/\D/g, '')}`
  } catch {
    return name
  }
}

/** Whether the owner's process is known to be gone. False for other machines: of those nothing is known. */
export function isDeadOwner(owner: string, host: string): boolean {
  const [ownerHost, processId] = owner.split('/')
  if (ownerHost !== host || processId === undefined || !/^\d+$/.test(processId)) return false
  try {
    process.kill(Number(processId), 0)
    return false
  } catch (error) {
    return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ESRCH'
  }
}
