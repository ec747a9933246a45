import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { SysFault } from "../../../clawfs/core/fault.ts"
import {
  O_PATH,
  lacksOpenBeneath,
  makeDirectoryAt,
  openBeneath,
  openPath,
  renameAt,
  unlinkAt,
} from "../../../clawfs/sys/beneath.ts"
import { close } from "../../../clawfs/sys/libc.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

let place: Temporary
let fd: number

beforeEach(() => {
  place = temporary()
  mkdirSync(join(place.path, "in", "deep"), { recursive: true })
  writeFileSync(join(place.path, "secret"), "secret")
  writeFileSync(join(place.path, "in", "file"), "inside")
  fd = openPath(join(place.path, "in"), 0)
})

afterEach(() => {
  close(fd)
  place[Symbol.dispose]()
})

/** The text behind a path, or the name of the error. */
function openedText(path: string): string {
  let opened: number
  try {
    opened = openBeneath(fd, Buffer.from(path), 0)
  } catch (thrown) {
    return thrown instanceof SysFault ? thrown.message : String(thrown)
  }
  const text = readFileSync(opened, "utf8")
  close(opened)
  return text
}

test("this machine can confine paths", () => {
  expect(lacksOpenBeneath("/x")).toBeUndefined()
})

test("paths and links that stay inside are followed", () => {
  symlinkSync("../file", join(place.path, "in", "deep", "link"))
  for (const path of ["file", "./file", "deep/../file", "deep/link", "deep//..//file"])
    expect(openedText(path)).toBe("inside")
})

test("nothing leads out", () => {
  symlinkSync("../secret", join(place.path, "in", "up"))
  symlinkSync("..", join(place.path, "in", "parent"))
  symlinkSync(join(place.path, "in", "file"), join(place.path, "in", "absolute"))
  const ways = [
    "../secret",
    "deep/../../secret",
    "up",
    "parent/secret",
    join(place.path, "secret"),
    "absolute",
    "/",
  ]
  for (const path of ways) expect([path, openedText(path)]).toEqual([path, "openat2: EXDEV"])
})

test("the links of /proc lead nowhere", () => {
  close(fd)
  fd = openPath("/proc/self", 0)
  expect(openedText("root/etc/passwd")).toMatch(/openat2: (ELOOP|EXDEV)/)
  expect(openedText("cwd/package.json")).toMatch(/openat2: (ELOOP|EXDEV)/)
})

test("a NUL byte is refused, not taken for the end", () => {
  expect(openedText("file\0/../../secret")).toContain("a path can't hold a NUL byte")
  expect(() => unlinkAt(fd, Buffer.from("file\0x"))).toThrow("NUL byte")
  expect(readdirSync(join(place.path, "in")).sort()).toEqual(["deep", "file"])
})

test("names are made, moved and removed in a directory", () => {
  makeDirectoryAt(fd, Buffer.from("made"))
  renameAt(fd, Buffer.from("file"), fd, Buffer.from("moved"), false)
  expect(() => renameAt(fd, Buffer.from("made"), fd, Buffer.from("moved"), false)).toThrow("EEXIST")
  unlinkAt(fd, Buffer.from("made"), true)
  expect(() => unlinkAt(fd, Buffer.from("deep"))).toThrow("EISDIR")
  expect(readdirSync(join(place.path, "in")).sort()).toEqual(["deep", "moved"])
})

test("descriptors are closed when another program is started", () => {
  const opened = openBeneath(fd, Buffer.from("file"), O_PATH)
  const flags = /flags:\t(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${opened}`, "utf8"))?.[1] ?? "0"
  close(opened)
  expect(parseInt(flags, 8) & 0o2000000).not.toBe(0)
})
