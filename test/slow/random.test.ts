import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { together } from "../helpers/exec.ts"
import { openTarget, type MountOptions } from "../helpers/mount.ts"
import { runChecked } from "../helpers/reports.ts"
import { requireTarget, skipIf } from "../helpers/requirements.ts"

/** Another seed each day; CLAWFS_TEST_SEED repeats one. It is printed with the result. */
const seed = Number(process.env["CLAWFS_TEST_SEED"] ?? Math.floor(Date.now() / 86_400_000))
const seconds = Number(process.env["CLAWFS_TEST_SECONDS"] ?? 300)
const modes: Record<string, MountOptions> = {
  "by default": {},
  "with the writeback cache": { flags: ["--writeback"] },
  "with opens that the server answers": { flags: ["--open-checks"] },
  "in an encrypted tree": { encrypted: true },
  "in an encrypted tree, with the writeback cache": { encrypted: true, flags: ["--writeback"] },
}

for (const [mode, options] of Object.entries(modes)) {
  test(`file contents are right over minutes of random operations, ${mode}`, async (context) => {
    skipIf(context, requireTarget())
    await using target = await openTarget({ ...options, limitSeconds: seconds + 300 })
    const fsx = (index: number, ...flags: string[]) => {
      const file = join(target.work, `fsx-${index}`)
      const args = ["--ops", 100_000_000, "--seconds", seconds, "--seed", seed + index, ...flags, file]
      return runChecked(target, "test/model/fsx.ts", args, { timeoutSeconds: seconds + 200 })
    }
    const outputs = await together([fsx(0), fsx(1, "--max-size", "40000"), fsx(2, "--max-size", "12000000")])
    console.log(outputs.join("\n"))
    for (const output of outputs) expect(output).toContain("all equal")
  })

  test(`a tree stays what the model and ext4 say over minutes of random operations, ${mode}`, async (context) => {
    skipIf(context, requireTarget())
    await using target = await openTarget({ ...options, limitSeconds: seconds + 300 })
    const lockstep = (index: number, operations: number) => {
      const [tested, reference] = [join(target.work, `t${index}`), join(target.scratch, `r${index}`)]
      mkdirSync(reference)
      const args = [
        "--sequences",
        1_000_000,
        "--ops",
        operations,
        "--seconds",
        seconds,
        "--seed",
        seed + index * 1e6,
      ]
      return target.run("mkdir", [tested]).then(() =>
        runChecked(target, "test/model/lockstep.ts", [...args, tested, reference], {
          timeoutSeconds: seconds + 200,
        }),
      )
    }
    const outputs = await together([lockstep(0, 300), lockstep(1, 3000)])
    console.log(outputs.join("\n"))
    for (const output of outputs) expect(output).toContain("all equal")
  })
}
