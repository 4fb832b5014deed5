export { MemoryLeaseStore } from './memory-lease-store.ts'
export { SqliteLeaseStore } from './sqlite-lease-store.ts'
export { SqliteLeaseTable } from './sqlite-lease-table.ts'
export type { LeaseCommit, SqliteDatabase, SqliteStatement, SqliteValue } from './sqlite-lease-table.ts'
