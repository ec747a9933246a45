/** Migrations that are killed at points of their work, and end as one that nobody disturbed. */
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import { numberOf } from "../helpers/ironclaw/determined.ts"
import type { Size } from "../helpers/ironclaw/fixture.ts"
import { contents, said } from "./harness.ts"
import type { Setting, Surroundings } from "./migrate-setting.ts"

/** Bytes of the only run's ledger; 0 before there is one. */
function ledgerBytes(setting: Setting): number {
  const runs = setting.path("system", "migrations")
  try {
    const [run = ""] = readdirSync(runs)
    return statSync(join(runs, run, "ledger.jsonl")).size
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return 0
    throw thrown
  }
}

/**
 * Kills a migration when its ledger has reached each of `points` random lengths, in rising order, lets it end, and compares with
 * an undisturbed one; `rounds` times. Returns how many were killed before they had ended by themselves.
 */
export async function killAtRandom(
  around: Surroundings,
  size: Partial<Size>,
  { rounds, points }: { readonly rounds: number; readonly points: number },
): Promise<number> {
  await using undisturbed = await around.setting(size)
  expect(said(await undisturbed.run("postgres"))).toMatch(/^exit 0\n/)
  const wanted = contents(undisturbed.scene.mnt)
  const whole = ledgerBytes(undisturbed)
  let kills = 0
  for (let round = 0; round < rounds; round += 1) {
    const lengths = Array.from({ length: points }, (_, at) => numberOf(`kill ${round} ${at}`, whole))
    await using setting = await around.mounted(undisturbed.database)
    for (const length of lengths.sort((a, b) => a - b))
      kills += (await setting.killed(() => ledgerBytes(setting) >= length)) ? 1 : 0
    expect(said(await setting.run("postgres"))).toMatch(/^exit 0\n/)
    expect(said(await setting.run("verify"))).toMatch(/^exit 0\n/)
    expect(contents(setting.scene.mnt)).toEqual(wanted)
  }
  return kills
}
