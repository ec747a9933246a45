/** Trees that go through an archive and come back the same, as we and as GNU tar see them. */
import { spawnSync } from "node:child_process"
import { existsSync, linkSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import * as sys from "../../helpers/sys.ts"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"
import { Executor } from "../../model/execute.ts"
import { Random } from "../../model/random.ts"
import { compareWithDirectory, snapshot } from "../../model/snapshot.ts"
import { TreeModel, umask } from "../../model/tree-model.ts"
import { Generator, lockstepLimits } from "../../model/tree-ops.ts"
import { Work, checkedArchive, exported, imported, isRoot, linesIn } from "./support.ts"

let work: Work
beforeEach(() => (work = new Work()))
afterEach(() => work[Symbol.dispose]())

const needsRoot = isRoot ? undefined : "not root: the generator makes devices and gives files away"

/** What the model of the tree tests makes of so many operations. */
function generated(seed: number, operations: number): { root: string; model: TreeModel } {
  const root = work.directory()
  sys.chmod(root, 0o755)
  const model = new TreeModel()
  const executor = new Executor(root)
  const generator = new Generator(new Random(seed), model.tree, lockstepLimits)
  const before = sys.umask(umask)
  try {
    for (let i = 0; i < operations; i += 1) {
      const operation = generator.next()
      model.apply(operation)
      executor.run(operation)
    }
  } finally {
    executor.closeAll()
    model.closeAll()
    sys.umask(before)
  }
  return { root, model }
}

describe("a tree of the generators", () => {
  beforeEach((context) => skipIf(context, needsRoot))

  test.each([1, 2, 3])("comes back equal, seed %i", (seed) => {
    const { root, model } = generated(seed, 1200)
    const saved = snapshot(model.tree.root)
    expect(compareWithDirectory(root, saved)).toEqual([])
    const archive = work.path("a.tar")
    const { entries, changed } = exported(root, archive)
    expect(entries).toBeGreaterThan(20)
    expect(changed).toEqual([])
    const target = work.directory()
    expect(imported(archive, target)).toMatchObject({ made: entries - 1, conflictCount: 0 })
    expect(compareWithDirectory(target, saved)).toEqual([])
    // Also in what the model does not know: all times, to the nanosecond.
    exported(target, work.path("b.tar"))
    expect(linesIn(work.path("b.tar"))).toEqual(linesIn(archive))
    expect(imported(archive, target, { isNew: false })).toMatchObject({
      made: 0,
      same: entries - 1,
      conflictCount: 0,
    })
  })
})

describe("a file", () => {
  test("keeps its holes, and takes no more room than before", () => {
    const from = work.directory()
    const fd = sys.open(join(from, "sparse"), sys.O.CREAT | sys.O.RDWR)
    for (const at of [0, 10_000_000, 70_000_000]) sys.pwrite(fd, Buffer.alloc(5000, 7), at)
    sys.ftruncate(fd, 90_000_000)
    sys.close(fd)
    writeFileSync(join(from, "all-hole"), "")
    sys.truncate(join(from, "all-hole"), 3_000_000)
    const archive = work.path("a.tar")
    expect(exported(from, archive)).toMatchObject({ files: 2, bytes: 93_000_000 })
    expect(statSync(archive).size).toBeLessThan(60_000)
    const target = work.directory()
    imported(archive, target)
    expect(statSync(join(target, "sparse")).blocks).toBeLessThanOrEqual(statSync(join(from, "sparse")).blocks)
    expect(readFileSync(join(target, "sparse")).equals(readFileSync(join(from, "sparse")))).toBe(true)
    expect(statSync(join(target, "all-hole"))).toMatchObject({ size: 3_000_000, blocks: 0 })
  })

  test("of several names has them again, in another directory too, and in the order of the archive", () => {
    const from = work.directory()
    mkdirSync(join(from, "z"))
    writeFileSync(join(from, "z", "one"), "text")
    linkSync(join(from, "z", "one"), join(from, "a"))
    linkSync(join(from, "z", "one"), join(from, "z-"))
    const archive = work.path("a.tar")
    exported(from, archive)
    expect(linesIn(archive).map((line) => JSON.parse(line) as { path: string; type: string })).toMatchObject([
      { path: "", type: "directory" },
      { path: "a", type: "file" },
      { path: "z", type: "directory" },
      { path: "z/one", type: "link" },
      { path: "z-", type: "link" },
    ])
    const target = work.directory()
    imported(archive, target)
    expect(lstatSync(join(target, "a")).nlink).toBe(3)
  })
})

/** Everything that tar can keep, of a kind that both tools read back. */
function odd(root: string): void {
  const long = "n".repeat(200)
  for (const name of [
    "caf\xc3\xa9",
    "\xff\xfe\x01",
    "sp ace",
    "new\nline",
    `${long}\xff`,
    `caf\xc3\xa9${long}`,
  ]) {
    sys.close(sys.open(`${root}/${name}`, sys.O.CREAT | sys.O.WRONLY, 0o640))
    sys.utimens(`${root}/${name}`, null, { seconds: 1_500_000_000, nanoseconds: 123_456_789 })
    sys.lsetxattr(`${root}/${name}`, "user.binary", Buffer.from([0, 10, 61, 255, 37]), 0)
    sys.lsetxattr(`${root}/${name}`, "user.a=b%c", Buffer.alloc(0), 0)
  }
  sys.symlink(`${long}/\xff`, `${root}/link`)
  sys.mkdir(`${root}/dir`, 0o755)
  sys.chmod(`${root}/dir`, 0o1775)
  sys.mknod(`${root}/fifo`, sys.S.IFIFO | 0o600, 0)
  const fd = sys.open(`${root}/sparse`, sys.O.CREAT | sys.O.RDWR)
  for (const at of [5_000_000, 1_000_000]) sys.pwrite(fd, Buffer.from("data"), at)
  sys.ftruncate(fd, 9_000_000)
  sys.close(fd)
  sys.link(`${root}/sparse`, `${root}/dir/same`)
  sys.utimens(`${root}/dir`, null, { seconds: 1_600_000_000, nanoseconds: 1 })
}

describe("GNU tar", () => {
  beforeEach((context) => skipIf(context, requirePrograms("tar")))

  test.each(["C", "C.UTF-8"])("reads an archive whole, in the locale %s", (locale) => {
    const from = work.directory()
    odd(from)
    const archive = work.path("a.tar")
    exported(from, archive, { secrets: Buffer.from("{}") })
    const target = work.directory()
    const words = ["--xattrs", "--same-owner", "-p", "-xf", archive, "-C", target]
    const { status, stderr } = spawnSync("tar", words, { env: { ...process.env, LC_ALL: locale } })
    expect([
      status,
      stderr.toString().replace(/^tar: Ignoring unknown extended header keyword 'hdrcharset'\n/gm, ""),
    ]).toEqual([0, ""])
    exported(join(target, "tree"), work.path("b.tar"))
    expect(linesIn(work.path("b.tar"))).toEqual(linesIn(archive))
    expect(existsSync(join(target, "secrets.json.enc"))).toBe(true)
    const manifest = JSON.parse(readFileSync(join(target, "manifest.json"), "utf8")) as { entries: unknown[] }
    expect(manifest.entries).toEqual(linesIn(archive).map((line) => JSON.parse(line) as unknown))
    expect(statSync(join(target, "tree", "sparse")).blocks).toBeLessThan(100)
  })
})

test("a time before 1970 is kept to the nanosecond", () => {
  const from = work.directory()
  writeFileSync(join(from, "a"), "")
  for (const [seconds, nanoseconds] of [
    [-1, 999_999_999],
    [-5, 0],
    [0, 0],
    [0, 1],
    [4_294_967_296, 7],
  ] as const) {
    sys.utimens(join(from, "a"), null, { seconds, nanoseconds })
    exported(from, work.path("a.tar"))
    const target = work.directory()
    imported(work.path("a.tar"), target)
    const ns = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
    expect(lstatSync(join(target, "a"), { bigint: true }).mtimeNs).toBe(ns)
  }
})

test("an archive that lacks nothing and lies about nothing is whole", () => {
  const from = work.directory()
  odd(from)
  exported(from, work.path("a.tar"))
  const { end, id } = checkedArchive(work.path("a.tar"))
  expect(end.totals.entries).toBe(12)
  expect(id).toMatch(/^[0-9a-f]{16}$/)
})
