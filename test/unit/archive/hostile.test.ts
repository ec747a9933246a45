/** Archives that want to do harm: each is refused by one sentence, before anything is written. */
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { lineOf, type Entry, type Inode } from "../../../clawfs/archive/entry.ts"
import { Flag, encodeHeader, padding } from "../../../clawfs/archive/header.ts"
import { END, encodeBeginning, encodeMember, encodeOwn } from "../../../clawfs/archive/member.ts"
import { decodeRecords, encodeRecords } from "../../../clawfs/archive/pax.ts"
import { decodeMap } from "../../../clawfs/archive/pieces.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import * as sys from "../../helpers/sys.ts"
import { Random } from "../../model/random.ts"
import { ORDINARY, Work, checkedArchive, exported, imported, isRoot } from "./support.ts"

let work: Work
beforeEach(() => (work = new Work()))
afterEach(() => work[Symbol.dispose]())

const EMPTY = Buffer.alloc(0)
const DIRECTORY: Inode = {
  ...{ path: EMPTY, type: "directory", mode: 0o755, uid: 0, gid: 0, mtimeNs: 0n, attributes: [] },
  ...{ size: 0, target: EMPTY, major: 0, minor: 0 },
}
const directory = (path: string): Inode => ({ ...DIRECTORY, path: Buffer.from(path) })
const file = (path: string, more: Partial<Inode> = {}): Inode => ({
  ...DIRECTORY,
  ...{ path: Buffer.from(path), type: "file", mode: 0o644 },
  ...more,
})
const link = (path: string, target: string): Entry => ({
  type: "link",
  path: Buffer.from(path),
  target: Buffer.from(target),
})
const symlink = (path: string, target: string): Inode => ({
  ...file(path),
  type: "symlink",
  target: Buffer.from(target),
})

/** An archive with a manifest that fits: only what the entries say is wrong. */
function made(
  entries: readonly (Entry & { readonly bytes?: Buffer })[],
  more: readonly Buffer[] = [],
): string {
  const lines: string[] = []
  const totals = { entries: 0, files: 0, bytes: 0 }
  const members = entries.map(({ bytes = EMPTY, ...entry }) => {
    const isFile = entry.type === "file"
    lines.push(lineOf(entry, isFile ? createHash("sha256").update(bytes).digest("hex") : undefined))
    totals.entries += 1
    if (isFile) totals.files += 1
    if (isFile) totals.bytes += bytes.length
    return Buffer.concat([encodeMember(entry, bytes.length), bytes, Buffer.alloc(padding(bytes.length))])
  })
  const head = { format: 1, clawfs: "0.1.0", made: "2026-01-01T00:00:00.000Z", source: "/" }
  const tail = { totals, changed: [], secrets: null }
  const text = `${JSON.stringify(head).slice(0, -1)},"entries":[\n${lines.join(",\n")}\n],${JSON.stringify(tail).slice(1)}\n`
  const manifest = [
    encodeOwn("manifest.json", Buffer.byteLength(text)),
    Buffer.from(text),
    Buffer.alloc(padding(Buffer.byteLength(text))),
  ]
  const path = work.path("hostile.tar")
  writeFileSync(path, Buffer.concat([encodeBeginning(), ...members, ...more, ...manifest, END]))
  return path
}

/** The sentence by which an import is refused; the target must be empty afterwards. */
function refusal(path: string, limits = ORDINARY): string {
  const target = work.directory()
  let said = ""
  try {
    imported(path, target, {}, limits)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Fault)
    said = thrown instanceof Fault ? `${thrown.kind}: ${thrown.message}` : ""
  }
  expect(readdirSync(target)).toEqual([])
  expect(said.split("\n")).toHaveLength(1)
  return said.replaceAll(work.base, "")
}

test("an archive of this kind is taken when nothing is wrong with it", () => {
  const path = made([
    DIRECTORY,
    { ...file("a", { size: 3 }), bytes: Buffer.from("abc") },
    link("b", "a"),
    directory("c"),
    symlink("c/d", "/etc"),
  ])
  const target = work.directory()
  expect(imported(path, target, {}, ORDINARY)).toMatchObject({ made: 4, conflictCount: 0 })
  expect(readFileSync(join(target, "b"), "utf8")).toBe("abc")
})

describe("a name is refused that", () => {
  test.each([
    ["goes up", [DIRECTORY, directory(".."), file("../evil")], '".." leads out of the tree'],
    [
      "goes up further inside",
      [DIRECTORY, directory("a"), directory("a/.."), file("a/../../evil")],
      "leads out of the tree",
    ],
    ["is absolute", [DIRECTORY, file("/etc/evil")], '"/etc/evil" is no path'],
    ["has an empty part", [DIRECTORY, directory("a"), file("a//b")], '"a//b" is no path'],
    ["is a dot", [DIRECTORY, directory(".")], '"." is no path'],
    ["is too long", [DIRECTORY, file("x".repeat(256))], "is no path"],
    ["makes a path too long", [DIRECTORY, file("x/".repeat(2500))], "is no path"],
    ["comes twice", [DIRECTORY, file("a"), file("a")], '"a" comes twice'],
    [
      "comes again later",
      [DIRECTORY, file("a"), file("b"), file("a")],
      '"a" comes twice, or not in its order',
    ],
    ["is below a file", [DIRECTORY, file("a"), file("a/b")], '"a/b" is in no directory'],
    ["is below a link", [DIRECTORY, symlink("a", "/etc"), file("a/passwd")], '"a/passwd" is in no directory'],
    ["is below nothing", [DIRECTORY, file("a/b")], '"a/b" is in no directory'],
    [
      "leaves a directory and comes back",
      [DIRECTORY, directory("a"), file("b"), file("a/c")],
      "not in its order",
    ],
    [
      "stands for the top, and is a link",
      [symlink("", "/etc"), file("passwd")],
      "does not begin with its top directory",
    ],
  ])("%s", (_what, entries: readonly Entry[], sentence) => {
    expect(refusal(made(entries))).toContain(sentence)
  })

  test.each(["/etc/evil", "../evil", "tree", "evil", "secrets.json"])("lies beside the tree: %s", (name) => {
    const member = encodeOwn(name, 0)
    expect(refusal(made([DIRECTORY], [member]))).toContain(
      `it holds ${JSON.stringify(name)}, which no export has there`,
    )
  })
})

describe("an entry is refused that is", () => {
  test.each([
    ["a hard link out of the tree", [DIRECTORY, link("a", "../../etc/passwd")], "which is no file before it"],
    ["a hard link to nothing", [DIRECTORY, link("a", "b")], "which is no file before it"],
    ["a hard link to a directory", [DIRECTORY, directory("a"), link("b", "a")], "which is no file before it"],
    ["a link that leads nowhere", [DIRECTORY, symlink("a", "")], "is a link that leads nowhere"],
    [
      "a device",
      [DIRECTORY, { ...file("sda"), type: "block", major: 8, minor: 0 }],
      'denied: "sda" is a device',
    ],
    ["setuid", [DIRECTORY, file("su", { mode: 0o4755 })], 'denied: "su" is a setuid or setgid program'],
    ["setgid", [DIRECTORY, file("sg", { mode: 0o2755 })], "is a setuid or setgid program"],
    [
      "a program with capabilities",
      [
        DIRECTORY,
        file("ping", { attributes: [{ name: Buffer.from("security.capability"), value: Buffer.alloc(20) }] }),
      ],
      "has attributes that only root may give",
    ],
    [
      "a file with an attribute that is none",
      [DIRECTORY, file("a", { attributes: [{ name: Buffer.from("system.other"), value: EMPTY }] })],
      'has the attribute "system.other"',
    ],
  ] as [string, Entry[], string][])("%s", (_what, entries, sentence) => {
    expect(refusal(made(entries))).toContain(sentence)
  })
})

describe("a bomb is refused:", () => {
  test("records without end", () => {
    const name = Buffer.from("records")
    const header = { name, mode: 0, uid: 0, gid: 0, mtime: 0, linkName: EMPTY, major: 0, minor: 0 }
    const huge = encodeHeader({ ...header, size: 2 ** 32, flag: Flag.RECORDS })
    expect(refusal(made([DIRECTORY], [huge]))).toContain("more than any that clawfs writes")
  })

  test("a hole of eight pebibytes", () => {
    const bytes = 2 ** 53 - 1
    const entry = file("a", { size: bytes })
    const map = Buffer.alloc(512)
    map.write(`1\n${bytes}\n0\n`)
    const member = Buffer.concat([encodeMember(entry, map.length, true), map])
    const path = made([DIRECTORY], [member])
    // Whoever wrote or read it would never come to an end.
    expect(refusal(path)).toContain(`says that its files have ${bytes} bytes`)
  })

  test("a size that lies", () => {
    const member = encodeMember(file("a", { size: 10 ** 12 }), 10 ** 12)
    expect(refusal(made([DIRECTORY], [member]))).toContain(
      "is to have 1000000000000 bytes, the archive ends before",
    )
  })

  test.each([
    ["more pieces than there can be", "99999999\n"],
    ["a number without end", "1".repeat(600)],
    ["pieces that overlap", "2\n0\n10\n5\n10\n"],
    ["a piece behind the end", "1\n0\n1001\n"],
    ["no number", "1\n-1\n5\n"],
  ])("a map of holes with %s", (_what, text) => {
    expect(() => decodeMap(Buffer.from(text.padEnd(512, "\0")), 1000)).toThrow(
      "map of a file's holes is damaged",
    )
  })

  test.each([
    "5 a=b\n",
    "99999999 a=b\n",
    "-6 a=b\n",
    "6 a=bc",
    "6 ab\n\n",
    "0 a=b\n",
    "6 a=b\n6 a=c\n",
    "x",
  ])("records %j", (text) => {
    expect(() => decodeRecords(Buffer.from(text))).toThrow("records of a header are damaged")
  })

  test("records come back as they were, also where a length counts one digit more for itself", () => {
    for (const length of [0, 1, 90, 91, 92, 93, 94, 95, 985, 990, 991, 992, 993, 9985, 9990]) {
      const records = new Map([["key", Buffer.alloc(length, 0x0a)]])
      expect([...decodeRecords(encodeRecords(records))]).toEqual([...records])
    }
  })
})

describe("an archive that is", () => {
  const whole = (): { path: string; bytes: Buffer } => {
    const from = work.directory()
    mkdirSync(join(from, "dir"))
    writeFileSync(join(from, "dir", "file"), "some text that is longer than nothing")
    writeFileSync(join(from, "long"), Buffer.alloc(3000, 0x61))
    symlinkSync("dir/file", join(from, "link"))
    const path = work.path("a.tar")
    exported(from, path)
    return { path, bytes: readFileSync(path) }
  }

  test("cut off anywhere is refused", () => {
    const { path, bytes } = whole()
    for (let length = bytes.length - 1; length >= 0; length -= 509) {
      writeFileSync(path, bytes)
      truncateSync(path, length)
      expect(refusal(path), `${length} bytes`).not.toBe("")
    }
  })

  test("changed in any way is refused, or means the same", () => {
    const { path, bytes } = whole()
    const random = new Random(11)
    const { id } = checkedArchive(path)
    let refused = 0
    for (let i = 0; i < 300; i += 1) {
      const damaged = Buffer.from(bytes)
      const at = random.below(damaged.length)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << random.below(8))
      writeFileSync(path, damaged)
      try {
        // Padding, and names in headers that a record replaces, mean nothing.
        expect(checkedArchive(path).id).toBe(id)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(Fault)
        refused += 1
      }
    }
    expect(refused).toBeGreaterThan(100)
  })

  test("followed by something is refused", () => {
    const { path, bytes } = whole()
    writeFileSync(path, Buffer.concat([bytes, Buffer.alloc(512)]))
    expect(refusal(path)).toContain("something follows its manifest")
  })

  test("no export at all is told so", () => {
    const path = work.path("x")
    for (const bytes of [EMPTY, Buffer.from("hello"), Buffer.alloc(10_240), Buffer.alloc(2048, 0xff)]) {
      writeFileSync(path, bytes)
      expect(refusal(path)).toContain("is no export of this version of clawfs")
    }
    expect(refusal(work.base)).toContain("is no regular file")
  })
})

describe("a target with traps:", () => {
  test("a link in the place of a directory is not followed", () => {
    const outside = work.directory()
    const target = work.directory()
    symlinkSync(outside, join(target, "a"))
    const path = made([DIRECTORY, directory("a"), { ...file("a/b", { size: 1 }), bytes: Buffer.from("x") }])
    const kept = imported(path, target, { isNew: false }, ORDINARY)
    expect(kept.conflicts).toEqual([
      { path: "a", differs: ["type"] },
      { path: "a/b", differs: ["above"] },
    ])
    expect(readdirSync(outside)).toEqual([])
    imported(path, target, { isNew: false, replaces: true }, ORDINARY)
    expect(readFileSync(join(target, "a", "b"), "utf8")).toBe("x")
    expect(readdirSync(outside)).toEqual([])
  })

  test("a link in the place of a file is replaced, not written through", () => {
    const outside = join(work.directory(), "victim")
    writeFileSync(outside, "as it was")
    const target = work.directory()
    symlinkSync(outside, join(target, "a"))
    const path = made([DIRECTORY, { ...file("a", { size: 1 }), bytes: Buffer.from("x") }])
    expect(imported(path, target, { isNew: false }, ORDINARY).conflicts).toEqual([
      { path: "a", differs: ["type"] },
    ])
    imported(path, target, { isNew: false, replaces: true }, ORDINARY)
    expect(readFileSync(outside, "utf8")).toBe("as it was")
    expect(readFileSync(join(target, "a"), "utf8")).toBe("x")
  })

  test("a directory in the place of a file is never removed", () => {
    const target = work.directory()
    mkdirSync(join(target, "a", "precious"), { recursive: true })
    const path = made([DIRECTORY, file("a")])
    expect(imported(path, target, { isNew: false, replaces: true }, ORDINARY).conflicts).toEqual([
      { path: "a", differs: ["type"] },
    ])
    expect(existsSync(join(target, "a", "precious"))).toBe(true)
  })

  test.runIf(isRoot)("what a directory hands down to new files is taken off", () => {
    const target = work.directory()
    // A default ACL: user::rwx, user:1234:rwx, group::r-x, mask::rwx, other::r-x
    const entries = [
      [1, 7, 0xffff_ffff],
      [2, 7, 1234],
      [4, 5, 0xffff_ffff],
      [16, 7, 0xffff_ffff],
      [32, 5, 0xffff_ffff],
    ] as const
    const acl = Buffer.alloc(4 + 8 * entries.length)
    acl.writeUInt32LE(2)
    entries.forEach(([tag, perm, id], i) => {
      acl.writeUInt16LE(tag, 4 + 8 * i)
      acl.writeUInt16LE(perm, 6 + 8 * i)
      acl.writeUInt32LE(id, 8 + 8 * i)
    })
    expect(sys.lsetxattr(target, "system.posix_acl_default", acl, 0)).toBe(0)
    imported(made([DIRECTORY, file("a"), directory("b"), file("b/c")]), target, { isNew: false }, ORDINARY)
    for (const name of ["a", "b", "b/c"]) expect(sys.llistxattr(join(target, name))).toEqual([])
  })
})
