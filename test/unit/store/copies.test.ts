import { join } from "node:path"
import { expect, test } from "vitest"
import { COPY_MAPS, COPY_STATEMENTS } from "../../../clawfs/store/copies.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { temporaryStore } from "../support/temporary.ts"

test.for(COPY_STATEMENTS.map((sql): [string] => [sql]))(
  "goes through what is copied, not through the whole store: %s",
  ([sql]) => {
    using place = temporaryStore()
    using db = new Database(join(place.directory, "meta.db"))
    db.execute(COPY_MAPS)
    const count = sql.split("?").length - 1
    const plan = db
      .query<number[], [number, number, number, string]>(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...Array<number>(count).fill(1))
    const scans = plan.map(([, , , step]) => step).filter((step) => step.startsWith("SCAN"))
    // "m" and "p" are the table of what is copied.
    expect(scans.filter((step) => !/^SCAN ([mp]|\(subquery-\d+\))$/.test(step))).toEqual([])
    expect(scans).not.toEqual([])
  },
)
