/** Extended attributes: every prefix, every type of file, values and lists of every size, and who may. */
import { XATTR } from "../abi.ts"
import { type Case, type Expected, type Test, fileTypes } from "../check.ts"
import type { Role } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import type { Outcome } from "../posix.ts"
import { probesOf } from "../probes.ts"

const everyByte = Array.from({ length: 256 }, (_, index) => String.fromCharCode(index)).join("")
const NAME_LIMIT = 255
const SIZE_LIMIT = 64 << 10

/** The attributes that the suite set; security modules may add their own. */
function list(t: Test, path: string): string {
  const names = t.ok(t.root.llistxattr(path))
  return names
    .filter((name) => /^(user|trusted|security)\.posix/.test(name))
    .sort()
    .join()
}

interface Form {
  readonly name: string
  readonly set: (t: Test, name: string, value: string, flags?: number) => Outcome<number>
  readonly get: (t: Test, name: string, length?: number) => Outcome<string>
  readonly list: (t: Test, length?: number) => Outcome<string[]>
  readonly remove: (t: Test, name: string) => Outcome<number>
}

const forms: readonly Form[] = [
  {
    name: "by path",
    set: (t, name, value, flags) => t.root.setxattr("x", name, value, flags),
    get: (t, name, length) => t.root.getxattr("x", name, length),
    list: (t, length) => t.root.listxattr("x", length),
    remove: (t, name) => t.root.removexattr("x", name),
  },
  {
    name: "by path without following",
    set: (t, name, value, flags) => t.root.lsetxattr("x", name, value, flags),
    get: (t, name, length) => t.root.lgetxattr("x", name, length),
    list: (t, length) => t.root.llistxattr("x", length),
    remove: (t, name) => t.root.lremovexattr("x", name),
  },
  {
    name: "by descriptor",
    set: (t, name, value, flags) => t.root.fsetxattr(t.ok(t.root.open("x")), name, value, flags),
    get: (t, name, length) => t.root.fgetxattr(t.ok(t.root.open("x")), name, length),
    list: (t, length) => t.root.flistxattr(t.ok(t.root.open("x")), length),
    remove: (t, name) => t.root.fremovexattr(t.ok(t.root.open("x")), name),
  },
]

const values: readonly Case[] = forms.flatMap((form) => [
  {
    name: `${form.name}: values of any bytes and sizes are kept, replaced and removed`,
    run: (t: Test) => {
      t.file("x")
      for (const value of ["", "v", "\0", everyByte, "v".repeat(1000), "w".repeat(3000), "short again", ""]) {
        t.ok(form.set(t, "user.posix", value))
        t.equal(t.ok(form.get(t, "user.posix")), value, "value")
      }
      t.ok(form.remove(t, "user.posix"))
      t.fails("ENODATA", form.get(t, "user.posix"))
      t.fails("ENODATA", form.remove(t, "user.posix"))
    },
  },
  {
    name: `${form.name}: CREATE only makes, REPLACE only replaces, both or others are EINVAL`,
    run: (t: Test) => {
      t.file("x")
      t.fails("ENODATA", form.set(t, "user.posix", "1", XATTR.REPLACE))
      t.fails("ENODATA", form.get(t, "user.posix"))
      t.succeeds(form.set(t, "user.posix", "2", XATTR.CREATE))
      t.fails("EEXIST", form.set(t, "user.posix", "3", XATTR.CREATE))
      t.equal(t.ok(form.get(t, "user.posix")), "2", "value")
      t.succeeds(form.set(t, "user.posix", "4", XATTR.REPLACE))
      t.equal(t.ok(form.get(t, "user.posix")), "4", "value")
      t.fails("EINVAL", form.set(t, "user.posix", "5", 8))
    },
  },
  {
    name: `${form.name}: no room asked for tells the size, too little is ERANGE`,
    run: (t: Test) => {
      t.file("x")
      t.ok(form.set(t, "user.posix", "0123456789"))
      t.equal(t.ok(form.get(t, "user.posix", 10)), "0123456789", "value")
      for (const length of [1, 9]) t.fails("ERANGE", form.get(t, "user.posix", length))
      t.equal(t.ok(t.root.call("getxattr", ["x", "user.posix", 0, 0])), 10, "size")
      const whole = t.ok(form.list(t)).join("\0").length + 1
      t.equal(t.ok(t.root.call("listxattr", ["x", 0, 0])), whole, "size of the list")
      t.fails("ERANGE", form.list(t, whole - 1))
      t.succeeds(form.list(t, whole))
    },
  },
  {
    name: `${form.name}: the list names every attribute once`,
    run: (t: Test) => {
      t.file("x")
      const names = Array.from({ length: 30 }, (_, index) => `user.posix${String(index).padStart(2, "0")}`)
      for (const name of names) t.ok(form.set(t, name, name))
      t.equal(list(t, "x"), names.join(), "list")
      t.equal(
        t
          .ok(form.list(t))
          .filter((name) => name.startsWith("user.posix"))
          .sort()
          .join(),
        names.join(),
        "list",
      )
      for (const name of names) t.equal(t.ok(form.get(t, name)), name, "value")
      for (const [index, name] of names.entries()) if (index % 2 === 0) t.ok(form.remove(t, name))
      t.equal(list(t, "x"), names.filter((_, index) => index % 2 === 1).join(), "list after removals")
    },
  },
])

const names: readonly Case[] = [
  {
    name: "names up to 255 bytes, of any bytes behind the prefix",
    run: (t) => {
      t.file("x")
      const longest = `user.${"n".repeat(NAME_LIMIT - 5)}`
      for (const name of [
        longest,
        "user.with space",
        "user.\n",
        "user.caf\xc3\xa9",
        "user.\xff\xfe",
        "user.a.b.c",
      ]) {
        t.succeeds(t.root.setxattr("x", name, "value"))
        t.equal(t.ok(t.root.getxattr("x", name)), "value", "value")
        t.that(t.ok(t.root.listxattr("x")).includes(name), `${name} is not in the list`)
      }
      for (const call of [
        t.root.setxattr("x", `${longest}n`, "v"),
        t.root.getxattr("x", `${longest}n`),
        t.root.removexattr("x", `${longest}n`),
      ])
        t.fails("ERANGE", call)
    },
  },
  {
    name: "an empty name is ERANGE, a prefix alone EINVAL, an unknown prefix EOPNOTSUPP, a bad pointer EFAULT",
    run: (t) => {
      t.file("x")
      const rules: [string | number, Expected][] = [
        ["", "ERANGE"],
        ["user.", "EINVAL"],
        ["trusted.", "EINVAL"],
        ["nonsense", "EOPNOTSUPP"],
        ["nonsense.x", "EOPNOTSUPP"],
        [1, "EFAULT"],
      ]
      for (const [name, error] of rules) {
        t.expect(error, t.root.setxattr("x", name, "v"))
        t.expect(error, t.root.getxattr("x", name))
        t.expect(error, t.root.removexattr("x", name))
      }
      t.fails("EFAULT", t.root.setxattr("x", "user.posix", 1))
    },
  },
  {
    name: "a value of more than 64 KiB is E2BIG",
    run: (t) => {
      t.file("x")
      t.fails(
        "E2BIG",
        t.root.call("setxattr", ["x", "user.posix", { fill: [1, SIZE_LIMIT + 1] }, SIZE_LIMIT + 1, 0]),
      )
      t.fails("ENODATA", t.root.getxattr("x", "user.posix"))
    },
  },
]

const users: readonly Role[] = ["owner", "mate", "member", "stranger"]

const prefixes: readonly Case[] = fileTypes.map((type) => {
  const isPlain = type === "regular" || type === "dir"
  return {
    name: `a ${type}: user. ${isPlain ? "is allowed" : "is EPERM"}, trusted. and security. for root`,
    run: (t) => {
      t.create(type, "x", { mode: 0o777 })
      t.expect(isPlain ? "ok" : "EPERM", t.root.lsetxattr("x", "user.posix", "u"))
      if (!isPlain) t.fails("ENODATA", t.root.lgetxattr("x", "user.posix"))
      for (const prefix of ["trusted", "security"]) {
        t.succeeds(t.root.lsetxattr("x", `${prefix}.posix`, prefix))
        t.equal(t.ok(t.root.lgetxattr("x", `${prefix}.posix`)), prefix, "value")
      }
      t.equal(
        list(t, "x"),
        ["security.posix", "trusted.posix", ...(isPlain ? ["user.posix"] : [])].join(),
        "list",
      )
      for (const role of users) {
        t.fails("EPERM", t.as(role).lsetxattr("x", "trusted.posix", "v"))
        t.fails("EPERM", t.as(role).lsetxattr("x", "security.posix", "v"))
        t.fails("ENODATA", t.as(role).lgetxattr("x", "trusted.posix"))
        t.fails("EPERM", t.as(role).lremovexattr("x", "trusted.posix"))
        t.equal(t.ok(t.as(role).lgetxattr("x", "security.posix")), "security", "security. read by a user")
        t.that(!t.ok(t.as(role).llistxattr("x")).includes("trusted.posix"), "a user sees trusted. attributes")
      }
    },
  }
})

const permissions: readonly Case[] = (["file", "dir"] as const).flatMap((kind): Case[] => [
  {
    name: `user. attributes of a ${kind} need permission to read or write it`,
    run: (t) => {
      t[kind]("x", { owned: "owner" })
      t.ok(t.root.setxattr("x", "user.posix", "v"))
      for (const [role, shift] of [
        ["owner", 6],
        ["mate", 3],
        ["member", 3],
        ["stranger", 0],
      ] as const) {
        t.ok(t.root.chmod("x", 0o777 & ~(4 << shift)))
        t.fails("EACCES", t.as(role).getxattr("x", "user.posix"))
        t.succeeds(t.as(role).setxattr("x", "user.posix", "v"))
        t.succeeds(t.as(role).listxattr("x"))
        t.ok(t.root.chmod("x", 0o777 & ~(2 << shift)))
        t.succeeds(t.as(role).getxattr("x", "user.posix"))
        t.fails("EACCES", t.as(role).setxattr("x", "user.posix", "w"))
        t.fails("EACCES", t.as(role).removexattr("x", "user.posix"))
      }
      t.equal(t.ok(t.root.getxattr("x", "user.posix")), "v", "value")
    },
  },
])

const lives: readonly Case[] = [
  {
    name: "attributes belong to the file: they follow links and renames and end with it",
    run: (t) => {
      t.file("x")
      t.ok(t.root.setxattr("x", "user.posix", "v"))
      t.ok(t.root.link("x", "y"))
      t.ok(t.root.rename("x", "z"))
      for (const path of ["y", "z"]) t.equal(t.ok(t.root.getxattr(path, "user.posix")), "v", "value")
      t.ok(t.root.unlink("y"))
      t.ok(t.root.unlink("z"))
      t.file("z")
      t.fails("ENODATA", t.root.getxattr("z", "user.posix"))
    },
  },
  {
    name: "in a sticky directory of another owner a user cannot set user. attributes: EPERM",
    run: (t) => {
      t.dir("d", { mode: 0o1777 })
      t.fails("EPERM", t.stranger.setxattr("d", "user.posix", "v"))
      t.succeeds(t.root.setxattr("d", "user.posix", "v"))
    },
  },
]

export const cases: readonly Case[] = [
  ...pathCases(
    probesOf(
      "setxattr",
      "lsetxattr",
      "getxattr",
      "lgetxattr",
      "listxattr",
      "llistxattr",
      "removexattr",
      "lremovexattr",
    ),
  ),
  ...values,
  ...names,
  ...prefixes,
  ...permissions,
  ...lives,
]
