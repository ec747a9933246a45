/** What was read from files is read again when they have changed. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { KnownFiles } from "../../../clawfs/runner/known-files.ts"

const directory = mkdtempSync(join(tmpdir(), "clawfs-known-"))
afterAll(() => rmSync(directory, { recursive: true }))

test("once for the same contents, again for others, another file, and none", () => {
  const files = new KnownFiles()
  const path = join(directory, "file")
  let reads = 0
  const read = (also?: string): string =>
    files.get(
      path,
      () => {
        reads += 1
        return readFileSync(path, "utf8")
      },
      also,
    )
  expect(() => read()).toThrow("ENOENT")
  writeFileSync(path, "one")
  expect([read(), read(), reads]).toEqual(["one", "one", 2])
  writeFileSync(path, "other")
  expect([read(), reads]).toEqual(["other", 3])
  writeFileSync(`${path}.new`, "other")
  renameSync(`${path}.new`, path)
  expect([read(), read("asked in another way"), reads]).toEqual(["other", "other", 5])
  rmSync(path)
  expect(() => read()).toThrow("ENOENT")
})

test("a default for a missing file holds until there is one", () => {
  const files = new KnownFiles()
  const path = join(directory, "policy")
  let reads = 0
  const read = (): string =>
    files.get(path, () => {
      reads += 1
      return "default"
    })
  expect([read(), read(), reads]).toEqual(["default", "default", 1])
  writeFileSync(path, "")
  read()
  expect(reads).toBe(2)
})
