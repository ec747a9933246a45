import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { together } from "../helpers/exec.ts"
import { mountClawfs, openTarget, type Target } from "../helpers/mount.ts"
import { runChecked, seed } from "../helpers/reports.ts"
import { requireFuse, requireTarget, skipIf } from "../helpers/requirements.ts"

const fsx = (target: Target, seconds: number, offset: number, ...flags: string[]): Promise<string> =>
  runChecked(
    target,
    "test/model/fsx.ts",
    [
      "--ops",
      1_000_000,
      "--seconds",
      seconds,
      "--seed",
      seed + offset,
      ...flags,
      join(target.work, `fsx-${offset}`),
    ],
    { timeoutSeconds: 150 },
  )

test("reads, writes, mappings, holes and copies of a file are right byte for byte", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  // one that crosses every size limit of the store, one that stays where contents are kept inline
  const outputs = await together([fsx(target, 8, 0), fsx(target, 8, 1, "--max-size", "40000")])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
})

test("with the writeback cache they are right as well", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget({ flags: ["--writeback"] })
  const outputs = await together([fsx(target, 6, 2), fsx(target, 6, 3, "--max-size", "40000")])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
})

test("in an encrypted tree they are right as well", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs({ encrypted: true })
  const outputs = await together([fsx(mount, 6, 8), fsx(mount, 6, 9, "--max-size", "40000")])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
})

test("in a compressed directory they are right as well", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  await mount.clawfs(["compress", mount.work])
  writeFileSync(join(mount.work, "text"), Buffer.alloc(1 << 20, "one line like the other\n"))
  const outputs = await together([fsx(mount, 6, 6), fsx(mount, 6, 7, "--max-size", "40000")])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
  const { stdout } = await mount.clawfs(["compress", "--show", "--json", mount.work])
  const { bytes, storedBytes } = JSON.parse(stdout) as { bytes: number; storedBytes: number }
  // How well the other files compress is up to what fsx leaves in them.
  expect(storedBytes).toBeLessThan(bytes - 0.9 * 2 ** 20)
})

test("with an open that the server answers they are right as well", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget({ flags: ["--open-checks"] })
  const outputs = await together([fsx(target, 6, 4), fsx(target, 6, 5, "--max-size", "40000")])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
})
