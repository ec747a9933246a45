/** Imports that are killed, repeated, or meet files that are there: nothing is lost, nothing of anybody's is overwritten. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { sleep } from "../../helpers/exec.ts"
import { program } from "../../helpers/programs.ts"
import { Random, contents } from "../../model/random.ts"
import { Work, exported, imported, linesIn } from "./support.ts"

let work: Work
beforeEach(() => (work = new Work()))
afterEach(() => work[Symbol.dispose]())

/** Files of all sizes in directories that nobody may write in. */
function filled(root: string, count: number): void {
  const random = new Random(5)
  for (let i = 0; i < count; i += 1) {
    const directory = join(root, `d${i % 7}`, `e${i % 3}`)
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `f${i}`), contents(i, random.below(i % 50 === 0 ? 3_000_000 : 9000)))
    utimesSync(join(directory, `f${i}`), 1e9, 1e9 + i)
  }
  for (let i = 0; i < 7; i += 1) {
    chmodSync(join(root, `d${i}`), 0o555)
    utimesSync(join(root, `d${i}`), 1e9, 1e9)
  }
}

test("an import that is killed again and again goes on, and the result is the same", async () => {
  const from = work.directory()
  filled(from, 300)
  const archive = work.path("a.tar")
  exported(from, archive)
  const target = work.path("target")
  const main = program("test/unit/archive/import-child.ts")
  const random = new Random(99)
  const start = (): ReturnType<typeof spawn> =>
    spawn(process.execPath, [main, archive, target], { stdio: "ignore" })
  let seen = 0
  const size = (): number => {
    try {
      if (existsSync(target)) seen = readdirSync(target, { recursive: true }).length
    } catch (thrown) {
      // What is being made is renamed while it is looked at.
      if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown
    }
    return seen
  }
  let stopped = 0
  for (let kill = 0; kill < 6; kill += 1) {
    const child = start()
    // Somewhere in the middle of what it does then.
    for (const enough = size() + 10 + random.below(30); child.exitCode === null && size() < enough;)
      await sleep(1)
    child.kill("SIGKILL")
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
    if (child.signalCode === "SIGKILL" && size() < 328) stopped += 1
  }
  expect(stopped).toBeGreaterThan(1)
  const last = start()
  const [code] = (await once(last, "exit")) as [number]
  expect(code).toBe(0)
  exported(target, work.path("b.tar"))
  expect(linesIn(work.path("b.tar"))).toEqual(linesIn(archive))
})

describe("a file that is there", () => {
  const prepared = (): { archive: string; target: string } => {
    const from = work.directory()
    mkdirSync(join(from, "dir"))
    for (const name of ["same", "changed", "gone", "dir/inner"])
      writeFileSync(join(from, name), `${name} as it was`)
    const archive = work.path("a.tar")
    exported(from, archive)
    const target = work.directory()
    imported(archive, target)
    writeFileSync(join(target, "changed"), "mine")
    chmodSync(join(target, "dir", "inner"), 0o600)
    chmodSync(join(target, "dir"), 0o700)
    rmSync(join(target, "gone"))
    writeFileSync(join(target, "other"), "nobody's business")
    return { archive, target }
  }

  test("and differs is kept and told, everything else is made", () => {
    const { archive, target } = prepared()
    const applied = imported(archive, target, { isNew: false })
    expect(applied).toMatchObject({ made: 1, same: 1, replaced: 0, conflictCount: 3 })
    expect(applied.conflicts).toEqual([
      { path: "changed", differs: ["contents", "time"] },
      { path: "dir", differs: ["mode"] },
      { path: "dir/inner", differs: ["mode"] },
    ])
    expect(readFileSync(join(target, "changed"), "utf8")).toBe("mine")
    expect(readFileSync(join(target, "gone"), "utf8")).toBe("gone as it was")
    expect(readFileSync(join(target, "other"), "utf8")).toBe("nobody's business")
  })

  test("is replaced when that is wished, and nothing else is touched", () => {
    const { archive, target } = prepared()
    expect(imported(archive, target, { isNew: false, replaces: true })).toMatchObject({
      ...{ made: 1, same: 1, replaced: 3, conflictCount: 0 },
    })
    expect(readFileSync(join(target, "changed"), "utf8")).toBe("changed as it was")
    expect(readFileSync(join(target, "other"), "utf8")).toBe("nobody's business")
    expect(imported(archive, target, { isNew: false })).toMatchObject({ made: 0, same: 5, conflictCount: 0 })
    expect(readdirSync(target).filter((name) => name.startsWith("."))).toEqual([])
  })
})
