import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { together } from "../helpers/exec.ts"
import { openTarget, type MountOptions } from "../helpers/mount.ts"
import { runChecked, seed } from "../helpers/reports.ts"
import { requireTarget, skipIf } from "../helpers/requirements.ts"

async function lockstep(options: MountOptions, seconds: number, offset: number): Promise<string> {
  await using target = await openTarget(options)
  const reference = join(target.scratch, "reference")
  mkdirSync(reference)
  return await runChecked(
    target,
    "test/model/lockstep.ts",
    ["--sequences", 100_000, "--seconds", seconds, "--seed", seed + offset, target.work, reference],
    { timeoutSeconds: seconds + 120 },
  )
}

test("random operations on a tree give what the model and ext4 give", async (context) => {
  skipIf(context, requireTarget())
  const outputs = await together([lockstep({}, 8, 0), lockstep({}, 8, 1_000_000)])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
})

test("on an encrypted tree, with the writeback cache too, they give the same", async (context) => {
  skipIf(context, requireTarget())
  const outputs = await together([
    lockstep({ encrypted: true }, 5, 4_000_000),
    lockstep({ encrypted: true, flags: ["--writeback"] }, 5, 5_000_000),
  ])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
})

test("with the writeback cache, or opens that the server answers, they give the same", async (context) => {
  skipIf(context, requireTarget())
  const outputs = await together([
    lockstep({ flags: ["--writeback"] }, 5, 2_000_000),
    lockstep({ flags: ["--open-checks"] }, 5, 3_000_000),
  ])
  console.log(outputs.join("\n"))
  for (const output of outputs) expect(output).toContain("all equal")
})
