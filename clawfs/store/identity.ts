/** The row of table `store`: what makes a store different from any other. */
import { Fault } from "../core/fault.ts"
import { damagedRow } from "./checksum.ts"
import type { Database } from "./database.ts"
import { sumOfSchema, sumOfStore } from "./row-sums.ts"

export interface StoreIdentity {
  readonly uuid: Buffer
  /** Of the name hash. */
  readonly seedA: number
  readonly seedB: number
}

type Row = [uuid: Buffer, created: number, seedA: number, seedB: number, schema: number | null]

/** Throws `Fault("corrupt")` when the row, or the schema, is not what it was. */
export function identityOf(db: Database): StoreIdentity {
  const row = db
    .query<[], [...Row, sum: number | null]>(
      "SELECT uuid, created, seed_a, seed_b, schema_sum, sum FROM store WHERE id = 1",
    )
    .get()
  if (row === undefined) throw new Fault("corrupt", `${db.path} has no store record`)
  const [uuid, created, seedA, seedB, schema, sum] = row
  if (sum !== sumOfStore([uuid, created, seedA, seedB, schema])) throw damagedRow("the store record")
  if (schema !== sumOfSchema(db)) throw damagedRow("the description of the tables")
  return { uuid, seedA, seedB }
}
