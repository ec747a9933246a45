/** What every damage must come to. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import { brokenInvariants } from "../support/invariants.ts"
import { entry, type Damage } from "./damages.ts"
import { errors, textOf, type Sample } from "./sample.ts"

/** Damages a copy of the sample: that is found, and a repair mends it or tells the same again. */
export function expectMendedOrTold(
  sample: Sample,
  { sql, finds, stays, leaves = [], holds = [] }: Damage,
): void {
  using copy = sample.copy()
  const before = new Set(copy.rows<[number]>("SELECT ino FROM inode WHERE ino > 0").map(([ino]) => ino))
  copy.execute(sql)
  const found = copy.check()
  const texts = errors(found)
  expect(
    texts.some((text) => finds.test(text)),
    texts.join("\n"),
  ).toBe(true)
  expect(copy.check()).toEqual(found)
  const repaired = copy.repair()
  const after = copy.check()
  expect(errors(repaired).sort()).toEqual(errors(after).sort())
  expect(after.findings.filter(({ repairable }) => repairable)).toEqual([])
  if (stays !== true) {
    expect(
      copy.number("SELECT max(size) FROM inode JOIN dentry USING (ino) WHERE name = CAST('deep' AS BLOB)"),
    ).toBeGreaterThanOrEqual(200_000)
    expect(after.findings.map(textOf)).toEqual([])
    expect(brokenInvariants(copy.directory)).toEqual([])
    expect(existsSync(join(copy.directory, "meta.db.fsck-1"))).toBe(true)
  } else expect(errors(after).some((text) => finds.test(text))).toBe(true)
  for (const name of leaves) expect(copy.number(`SELECT count(*) FROM dentry WHERE ${entry(name)}`)).toBe(1)
  for (const condition of holds) expect(copy.number(`SELECT ${condition}`), condition).toBe(1)
  // No inode is ever taken away.
  for (const ino of before) expect(copy.number(`SELECT count(*) FROM inode WHERE ino = ${ino}`)).toBe(1)
}
