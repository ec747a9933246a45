import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test, type TestContext } from "vitest"
import * as abi from "../../../clawfs/fuse/abi.ts"
import { Flag } from "../../../clawfs/fuse/flags.ts"
import { requirePrograms, skipIf } from "../support/requirements.ts"
import { readGolden, type Golden } from "../support/golden.ts"
import { temporary } from "../support/temporary.ts"

const HEADER = "/usr/include/linux/fuse.h"
const header = existsSync(HEADER) ? readFileSync(HEADER, "utf8").replace(/\/\*[^]*?\*\//g, "") : ""
const golden = [...readGolden("fuse.hex").values()]

function requireHeader(context: TestContext): void {
  skipIf(context, header === "" ? `no ${HEADER}` : undefined, requirePrograms("cc"))
}

/** Newer than this machine's header: said, and not compared. */
function skipNewer(what: string, names: readonly string[]): void {
  if (names.length > 0) process.stderr.write(`skipped: not in this ${HEADER}: ${what} ${names.join(", ")}\n`)
}

const bodies = new Map(
  [...header.matchAll(/struct (\w+) \{([^}]*)\};/g)].map(([, name = "", body = ""]) => [name, body]),
)

/** Whether this machine's header has the member, given as a path such as "stat.atime.tv_sec". */
function hasMember(struct: string, path: string): boolean {
  const [first = "", ...rest] = path.split(".")
  const declared = new RegExp(`(?:struct\\s+)?(\\w+)\\s+${first}\\s*(?:\\[\\w*\\])?;`).exec(
    bodies.get(struct) ?? "",
  )
  return declared !== null && (rest.length === 0 || hasMember(declared[1] ?? "", rest.join(".")))
}

const structOf = ({ title }: Golden): string => title.split(",")[0] ?? ""
/** A title with a comma is a variant: an older form, or one with a name behind it. */
const isWhole = ({ title }: Golden): boolean => !title.includes(",")
const membersOf = (each: Golden): Golden["fields"] => each.fields.filter(({ name }) => name !== "-")

/** Compiles and runs a program that prints one line for each C expression. */
function evaluate(expressions: readonly string[]): string[] {
  using place = temporary()
  const [source, binary] = [join(place.path, "sizes.c"), join(place.path, "sizes")]
  const lines = expressions.map((expression) => `  printf("%llu\\n", (unsigned long long)(${expression}));`)
  const text = [
    "#include <stddef.h>",
    "#include <stdio.h>",
    "#include <linux/fuse.h>",
    "int main(void) {",
    ...lines,
  ]
  writeFileSync(source, [...text, "  return 0;", "}"].join("\n"))
  const compiled = spawnSync("cc", ["-o", binary, source], { encoding: "utf8" })
  if (compiled.status !== 0) throw new Error(compiled.stderr)
  return spawnSync(binary, { encoding: "utf8" }).stdout.trim().split("\n")
}

/** Compares a table of numbers with C expressions of the same names, those that the header has. */
function expectEqual(table: Readonly<Record<string, number | bigint>>, cName: (key: string) => string): void {
  const entries = Object.entries(table).map(([key, value]): [string, string] => [cName(key), String(value)])
  const known = entries.filter(([name]) => new RegExp(`\\b${name}\\b`).test(header))
  skipNewer(
    "constants",
    entries.filter((entry) => !known.includes(entry)).map(([name]) => name),
  )
  const values = evaluate(known.map(([name]) => name))
  expect(Object.fromEntries(known.map(([name], index) => [name, values[index]]))).toEqual(
    Object.fromEntries(known),
  )
}

describe("structs against the system's header", () => {
  test("every struct has the size that the kernel gives it", (context) => {
    requireHeader(context)
    const whole = golden.filter(isWhole)
    skipNewer(
      "structs",
      whole.map(structOf).filter((name) => !bodies.has(name)),
    )
    const known = whole.filter((each) => bodies.has(structOf(each)))
    const sizes = evaluate(known.map((each) => `sizeof(struct ${structOf(each)})`))
    expect(Object.fromEntries(known.map((each, i) => [structOf(each), Number(sizes[i])]))).toEqual(
      Object.fromEntries(known.map((each) => [structOf(each), each.bytes.length])),
    )
  })

  test("every field lies where the kernel puts it", (context) => {
    requireHeader(context)
    const fields = golden
      .filter((each) => bodies.has(structOf(each)))
      .flatMap((each) =>
        membersOf(each).map((field) => ({
          struct: structOf(each),
          ...field,
          path: `${structOf(each)}.${field.name}`,
        })),
      )
    const known = fields.filter(({ struct, name }) => hasMember(struct, name))
    skipNewer(
      "fields",
      fields.filter((field) => !known.includes(field)).map(({ path }) => path),
    )
    const found = evaluate(
      known.map(
        ({ struct, name }) =>
          `offsetof(struct ${struct}, ${name}) * 1000 + sizeof(((struct ${struct} *)0)->${name})`,
      ),
    )
    expect(known.length).toBeGreaterThan(100)
    expect(known.map(({ path }, index) => `${path} ${found[index] ?? ""}`)).toEqual(
      known.map(({ path, offset, size }) => `${path} ${offset * 1000 + size}`),
    )
  })

  test("every size that replies are built with has its golden bytes", () => {
    const named: Record<keyof typeof abi.Size, string> = {
      inHeader: "fuse_in_header",
      outHeader: "fuse_out_header",
      attr: "fuse_attr",
      entryOut: "fuse_entry_out",
      attrOut: "fuse_attr_out",
      openOut: "fuse_open_out",
      writeOut: "fuse_write_out",
      kstatfs: "fuse_kstatfs",
      getxattrOut: "fuse_getxattr_out",
      initIn: "fuse_init_in",
      initOut: "fuse_init_out",
      dirent: "fuse_dirent, with a name",
      direntplus: "fuse_direntplus, with a name",
      lseekOut: "fuse_lseek_out",
      ioctlOut: "fuse_ioctl_out",
      setattrIn: "fuse_setattr_in",
      writeIn: "fuse_write_in",
      readIn: "fuse_read_in",
      statxOut: "fuse_statx_out",
      copyFileRangeOut: "fuse_copy_file_range_out",
      notifyInvalInodeOut: "fuse_notify_inval_inode_out",
      notifyInvalEntryOut: "fuse_notify_inval_entry_out",
    }
    for (const [key, title] of Object.entries(named)) {
      const found = golden.find((each) => each.title === title)
      // A name and its padding, 8 bytes, follow the struct in these two.
      const name = title.endsWith("a name") ? 8 : 0
      expect((found?.bytes.length ?? 0) - name, key).toBe(abi.Size[key as keyof typeof abi.Size])
    }
  })
})

describe("constants against the system's header", () => {
  test("every opcode has the kernel's number", (context) => {
    requireHeader(context)
    expectEqual(abi.Opcode, (name) => `FUSE_${name}`)
  })

  test("every capability is the kernel's bit", (context) => {
    requireHeader(context)
    expectEqual(Flag, (name) => `FUSE_${name}`)
  })

  test("every notification and the major version are the kernel's", (context) => {
    requireHeader(context)
    expectEqual(abi.Notify, (name) => `FUSE_NOTIFY_${name}`)
    expectEqual({ FUSE_KERNEL_VERSION: abi.KERNEL_MAJOR }, (name) => name)
  })

  test("every bit within a request or a reply is the kernel's", (context) => {
    requireHeader(context)
    expectEqual(abi.SetattrValid, (name) => `FATTR_${name}`)
    expectEqual(abi.WriteFlag, (name) => `FUSE_WRITE_${name}`)
    expectEqual(
      {
        FUSE_SETXATTR_ACL_KILL_SGID: abi.ACL_KILL_SGID,
        FUSE_OPEN_KILL_SUIDGID: abi.OPEN_KILL_SUIDGID,
        FOPEN_KEEP_CACHE: abi.FOPEN_KEEP_CACHE,
        FOPEN_CACHE_DIR: abi.FOPEN_CACHE_DIR,
      },
      (name) => name,
    )
  })
})
