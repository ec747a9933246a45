import { spawnSync } from "node:child_process"
import { chmodSync, closeSync, mkdirSync, openSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test, type TestContext } from "vitest"
import {
  aclWithMode,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  isMinimal,
  modeOfAcl,
} from "../../../clawfs/fs/acl.ts"
import { requirePrograms, skipIf } from "../support/requirements.ts"
import { aclBytes, formatAcl, parseAcl } from "../support/acl.ts"
import { fc } from "../support/fast-check.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

const MINIMAL = "u::rw- g::r-- o::---"
const EXTENDED = "u::rwx u:1000:rw- g::r-x g:50:--- m::rw- o::r--"
const octal = (mode: number): string => mode.toString(8).padStart(3, "0")

describe("an ACL on the wire", () => {
  test("has the bytes of posix_acl_xattr.h: version 2, then tag, permissions and id", () => {
    expect(aclBytes("u::rw- u:1000:r-x").toString("hex")).toBe(
      "02000000" + "01000600ffffffff" + "02000500e8030000",
    )
  })

  test("is read back as it was written", () => {
    for (const text of [MINIMAL, EXTENDED]) expect(formatAcl(decodeAcl(aclBytes(text)) ?? [])).toBe(text)
    expect(decodeAcl(encodeAcl([]))).toEqual([])
  })

  test("of another version or a broken length is none", () => {
    const good = aclBytes(EXTENDED)
    const other = Buffer.from(good)
    other.writeUInt32LE(1, 0)
    for (const bad of [other, good.subarray(0, -1), good.subarray(0, 3), Buffer.alloc(0)])
      expect(decodeAcl(bad)).toBeUndefined()
  })

  test("of any bytes is read without an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const value = Buffer.concat([Buffer.from([2, 0, 0, 0]), bytes])
        const entries = decodeAcl(value)
        if (entries !== undefined) expect(encodeAcl(entries).equals(value)).toBe(true)
      }),
    )
  })
})

describe("mode and ACL, by acl(5)", () => {
  test.each([
    [MINIMAL, "640"],
    ["u::rwx g::rwx o::rwx", "777"],
    ["u::--- g::--- o::---", "000"],
    // With a mask, the group bits are the mask and not the group entry.
    [EXTENDED, "764"],
    ["u::rwx g::rwx m::r-- o::---", "740"],
  ])("the permission bits of %s are %s", (text, mode) => {
    expect(octal(modeOfAcl(parseAcl(text)))).toBe(mode)
  })

  test.each([
    [MINIMAL, true],
    [EXTENDED, false],
    ["u::rwx g::r-x m::rwx o::---", false],
    ["u::rwx g::r-x g:50:r-- m::r-x o::---", false],
  ])("%s says no more than a mode: %s", (text, minimal) => {
    expect(isMinimal(parseAcl(text))).toBe(minimal)
  })

  test.each([
    // Without a mask chmod changes the group entry.
    [MINIMAL, 0o751, "u::rwx g::r-x o::--x"],
    // With one it changes the mask; group and named entries stay.
    [EXTENDED, 0o070, "u::--- u:1000:rw- g::r-x g:50:--- m::rwx o::---"],
    [EXTENDED, 0o604, "u::rw- u:1000:rw- g::r-x g:50:--- m::--- o::r--"],
  ])("%s after chmod %o", (text, mode, expected) => {
    expect(formatAcl(aclWithMode(parseAcl(text), mode))).toBe(expected)
  })

  test.each([
    // The program's mode limits what the directory gives; the umask has no say.
    ["u::rwx g::r-x o::r-x", 0o666, "u::rw- g::r-- o::r--", "644"],
    ["u::rwx g::r-x o::r-x", 0o777, "u::rwx g::r-x o::r-x", "755"],
    // With a mask the mode limits the mask, not the group entry.
    [EXTENDED, 0o640, "u::rw- u:1000:rw- g::r-x g:50:--- m::r-- o::---", "640"],
    [EXTENDED, 0o777, EXTENDED, "764"],
    ["u::--- g::rwx o::---", 0o777, "u::--- g::rwx o::---", "070"],
  ])("from the default %s, made with mode %o", (text, mode, expected, bits) => {
    const { entries, permissions } = inheritAcl(parseAcl(text), mode)
    expect([formatAcl(entries), octal(permissions)]).toEqual([expected, bits])
  })
})

/** Runs a program that must succeed. */
function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`)
  return stdout
}

/** The ACL of a path as the system shows it; with "-d" the default one. */
function shown(path: string, ...options: string[]): string {
  const lines = run("getfacl", "-cnEp", ...options, path)
    .split("\n")
    .filter(Boolean)
  const isDefault = options.includes("-d")
  return formatAcl(
    parseAcl(lines.map((line) => (isDefault ? line.replace(/^default:/, "") : line)).join(" ")),
  )
}

/** A directory where the kernel keeps ACLs, on the disk. */
function aclDirectory(context: TestContext): Temporary {
  skipIf(context, requirePrograms("setfacl", "getfacl"))
  const place = temporary(tmpdir())
  const works = spawnSync("setfacl", ["-m", "u:1000:r", place.path]).status === 0
  if (!works) place[Symbol.dispose]()
  skipIf(context, works ? undefined : `${tmpdir()} has no ACLs`)
  run("setfacl", "-b", place.path)
  return place
}

const DEFAULTS = [
  "u::rwx g::r-x o::r-x",
  "u::rw- g::--- o::---",
  "u::rwx u:1000:rwx g::r-x m::rwx o::---",
  "u::rwx g::rwx g:50:rw- m::r-x o::r--",
  "u::r-x u:7:--- g::-wx m::-w- o::-wx",
]
const MODES = [0o666, 0o777, 0o640, 0o000, 0o471]

describe("the same as the system's own filesystem", () => {
  test("for everything that is made in a directory with a default ACL", (context) => {
    using place = aclDirectory(context)
    for (const [i, text] of DEFAULTS.entries()) {
      const directory = join(place.path, String(i))
      mkdirSync(directory)
      run("setfacl", "-d", "-m", text.replaceAll(" ", ","), directory)
      const defaults = parseAcl(shown(directory, "-d"))
      for (const mode of MODES) {
        const path = join(directory, octal(mode))
        closeSync(openSync(path, "wx", mode))
        const { entries, permissions } = inheritAcl(defaults, mode)
        const what = `${text}, mode ${octal(mode)}`
        expect(octal(statSync(path).mode & 0o777), what).toBe(octal(permissions))
        expect(shown(path), what).toBe(formatAcl(entries))
      }
    }
  })

  test("for the mode that an ACL gives, and the ACL that chmod leaves", (context) => {
    using place = aclDirectory(context)
    const path = join(place.path, "file")
    for (const text of DEFAULTS.slice(1)) {
      for (const mode of MODES.slice(2)) {
        writeFileSync(path, "")
        run("setfacl", "-b", "-m", text.replaceAll(" ", ","), path)
        const entries = parseAcl(shown(path))
        expect(octal(statSync(path).mode & 0o777)).toBe(octal(modeOfAcl(entries)))
        chmodSync(path, mode)
        expect(shown(path), `${text} after chmod ${octal(mode)}`).toBe(formatAcl(aclWithMode(entries, mode)))
      }
    }
  })
})
