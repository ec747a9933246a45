import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, openSync, closeSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { readKeyFile } from "../../../keyring/key-file.ts"
import { readPassphraseFd, readPassphraseFile } from "../../../keyring/passphrase.ts"
import { temporary } from "../support/temporary.ts"

function write(path: string, bytes: string | Buffer, mode = 0o600): string {
  writeFileSync(path, bytes, { mode })
  chmodSync(path, mode)
  return path
}

function refusal(run: () => unknown): string {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof Fault) return `${thrown.kind}: ${thrown.message}`
    throw thrown
  }
  return "no refusal"
}

describe("a key file", () => {
  test("is taken whole, newlines included", () => {
    using place = temporary()
    const bytes = Buffer.from("0123456789abcdef0123456789abcde\n")
    using source = readKeyFile(write(join(place.path, "key"), bytes))
    expect(source.secret).toEqual(bytes)
  })

  test("is refused unless it is its owner's alone, regular, and long enough", () => {
    using place = temporary()
    const at = (name: string): string => join(place.path, name)
    const good = Buffer.alloc(32, "k")
    for (const mode of [0o640, 0o604, 0o620, 0o602])
      expect(refusal(() => readKeyFile(write(at("open"), good, mode)))).toBe(
        `denied: others can read or write the key file ${at("open")}`,
      )
    expect(refusal(() => readKeyFile(write(at("short"), good.subarray(1))))).toContain("has 31 bytes")
    expect(refusal(() => readKeyFile(write(at("long"), Buffer.alloc(8193))))).toContain("longer than 8192")
    expect(refusal(() => readKeyFile(at("missing")))).toBe(`not-found: there is no key file ${at("missing")}`)
    mkdirSync(at("directory"), { mode: 0o700 })
    expect(refusal(() => readKeyFile(at("directory")))).toContain("not a regular file")
    spawnSync("mkfifo", ["-m", "600", at("fifo")])
    expect(refusal(() => readKeyFile(at("fifo")))).toContain("not a regular file")
    symlinkSync(write(at("real"), good), at("link"))
    expect(readKeyFile(at("link")).secret).toEqual(good)
  })

  test.skipIf(process.getuid?.() !== 0)("of another user is refused", () => {
    using place = temporary()
    const path = write(join(place.path, "key"), Buffer.alloc(32))
    spawnSync("chown", ["12345", path])
    expect(refusal(() => readKeyFile(path))).toBe(
      `denied: the key file ${path} belongs to another user (number 12345)`,
    )
  })
})

describe("a passphrase", () => {
  const secretOf = (text: string | Buffer): string => {
    using place = temporary()
    using source = readPassphraseFile(write(join(place.path, "p"), text))
    return source.secret.toString("latin1")
  }

  test("ends where its line ends", () => {
    for (const text of ["correct horse", "correct horse\n", "correct horse\r\n"])
      expect(secretOf(text)).toBe("correct horse")
    expect(secretOf(" \t\n")).toBe(" \t")
  })

  test("is refused when it is empty, too long or more than a line", () => {
    for (const text of ["", "\n", "\r\n"]) expect(refusal(() => secretOf(text))).toContain("is empty")
    expect(refusal(() => secretOf("a\nb\n"))).toContain("has more than one line")
    expect(refusal(() => secretOf("x".repeat(1025)))).toContain("longer than 1024")
    expect(secretOf("x".repeat(1024))).toHaveLength(1024)
  })

  test("comes from a descriptor too", () => {
    using place = temporary()
    const fd = openSync(write(join(place.path, "p"), "from a descriptor\n"), "r")
    using source = readPassphraseFd(fd)
    expect(source.secret.toString()).toBe("from a descriptor")
    closeSync(fd)
    expect(refusal(() => readPassphraseFd(fd))).toBe(`invalid: descriptor ${fd} can't be read`)
  })
})
