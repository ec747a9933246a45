/**
 * Whatever happens to a row: the check ends, says so if a rule is broken, and after a repair only that is wrong which
 * the repair had said it could not mend.
 */
import { afterAll, beforeAll, expect, test } from "vitest"
import { present } from "../../../clawfs/core/assert.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import type { FsckResult } from "../../../clawfs/fsck/fsck.ts"
import { fc } from "../support/fast-check.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { runs } from "../support/random.ts"
import { makeCopiesSample } from "./copies-sample.ts"
import { Sample, errors } from "./sample.ts"

const samples = new Map<string, Sample>()
beforeAll(() => {
  samples.set("a store", Sample.make())
  samples.set("a store with copies and trees", makeCopiesSample())
})
afterAll(() => {
  for (const sample of samples.values()) sample[Symbol.dispose]()
})

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  inode: [
    ...["ino", "mode", "nlink", "uid", "gid", "rdev", "size", "alloc", "flags", "parent", "inline_offset"],
    ...["inline_length", "atime", "mtime_nanos", "tree", "body"],
  ],
  dentry: ["parent", "cookie", "name", "ino", "type"],
  symlink: ["ino", "target"],
  xattr: ["ino", "name", "value"],
  inline: ["body", "data"],
  extent: ["body", "offset", "length", "segment", "position", "record", "skip", "plain", "sequence"],
  shared: ["body", "refs"],
  tree: ["id", "parent", "flags", "key", "limit_bytes", "limit_inodes", "used_bytes", "used_inodes"],
  segment: ["id", "live"],
  state: ["next_ino", "inodes", "bytes", "sequence", "batch", "last_segment", "log_end", "log_synced"],
  store: ["uuid", "seed_a", "seed_b"],
}
const BYTES: ReadonlySet<string> = new Set(["name", "target", "value", "data", "uuid"])

const integer = fc.oneof(
  fc.integer({ min: -2, max: 20 }).map(String),
  fc.integer({ min: 0, max: 400_000 }).map(String),
  fc.constantFrom(
    "9223372036854775807",
    "-9223372036854775808",
    "9007199254740993",
    "4294967296",
    "2147483648",
  ),
  fc.constantFrom("4503599627370495", "4503599627370496", "16384", "4096", "33188", "16877", "41471"),
)
const bytes = fc.uint8Array({ maxLength: 20 }).map((some) => `x'${Buffer.from(some).toString("hex")}'`)

const damage = fc
  .constantFrom(...Object.keys(COLUMNS))
  .chain((table) =>
    fc.tuple(
      fc.constant(table),
      fc.constantFrom(...(COLUMNS[table] ?? [])),
      fc.nat(),
      fc.nat(9),
      integer,
      bytes,
    ),
  )

/** A statement that damages one row of a table. */
function statement([table, column, row, kind, number, data]: [
  string,
  string,
  number,
  number,
  string,
  string,
]): string {
  const columns = (COLUMNS[table] ?? []).map((each) => `t.${each} = ${table}.${each}`).join(" AND ")
  const chosen = `SELECT * FROM ${table} LIMIT 1 OFFSET ${row} % (SELECT max(1, count(*)) FROM ${table})`
  const where = `WHERE EXISTS (SELECT 1 FROM (${chosen}) t WHERE ${columns})`
  if (kind === 0) return `DELETE FROM ${table} ${where}`
  return `UPDATE OR REPLACE ${table} SET ${column} = ${BYTES.has(column) ? data : number} ${where}`
}

test.each(["a store", "a store with copies and trees"])(
  "one to four damaged rows of %s are found, and what is mended stays mended",
  (kind) => {
    const sample = present(samples.get(kind), kind)
    let [found, clean, mended] = [0, 0, 0]
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (damaged) => {
        using copy = sample.copy()
        for (const each of damaged) damaging(copy, statement(each))
        const before = copy.check()
        if (errors(before).length === 0) {
          expect(brokenInvariants(copy.directory)).toEqual([])
          clean += 1
          return
        }
        found += 1
        expect(copy.check()).toEqual(before)
        const repaired = copy.repair()
        const after = copy.check()
        // Files that nothing points to stay as long as anything is wrong.
        expect(
          after.findings.filter(({ repairable, severity }) => repairable && severity === "error"),
        ).toEqual([])
        // What could be read can still be.
        const unread = ({ findings }: FsckResult): number =>
          findings.filter(({ kind }) => kind === "contents").length
        expect(unread(after)).toBeLessThanOrEqual(unread(before))
        expect(errors(after).sort()).toEqual(errors(repaired).sort())
        if (errors(after).length > 0) return
        mended += 1
        expect(brokenInvariants(copy.directory)).toEqual([])
      }),
      { numRuns: runs(120) },
    )
    // All of these happen: the test would say nothing otherwise.
    expect(
      Math.min(found, clean, mended),
      `${found} found, ${clean} clean, ${mended} mended`,
    ).toBeGreaterThan(3)
  },
  // A case takes a tenth of a second, or more where others use the machine.
  runs(120) * 500,
)

/** SQLite may refuse the damage: the row is too large for a check, or the key is taken. */
function damaging(copy: Sample, sql: string): void {
  try {
    copy.execute(sql)
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown
  }
}
