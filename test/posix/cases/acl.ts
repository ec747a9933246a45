/** POSIX access control lists (acl(5)): what is kept, how mode and mask go together, and what is inherited. */
import { O, R_OK, W_OK, X_OK } from "../abi.ts"
import { type Case, type Test, fileTypes } from "../check.ts"
import { type Role, CLUB } from "../crew.ts"
import { readAcl, writeAcl } from "../structs.ts"

const ACCESS = "system.posix_acl_access"
const DEFAULT = "system.posix_acl_default"
const STRANGER = 71004
const MATE = 71002

type Kind = typeof ACCESS | typeof DEFAULT

function set(t: Test, path: string, acl: string, kind: Kind = ACCESS): void {
  t.ok(t.root.setxattr(path, kind, writeAcl(acl)))
}

/** The list as text, or "none". */
function get(t: Test, path: string, kind: Kind = ACCESS): string {
  const value = t.root.getxattr(path, kind)
  if (value.error === "ENODATA") return "none"
  return readAcl(Buffer.from(t.ok(value), "latin1"))
}

const full = `u::rwx,u:${MATE}:r-x,u:${STRANGER}:rwx,g::r-x,g:${CLUB}:-wx,m::rwx,o::--x`

const keeping: readonly Case[] = [
  ...fileTypes
    .filter((type) => type !== "symlink")
    .map((type): Case => ({
      name: `a ${type} keeps its list, and its mode shows owner, mask and other`,
      run: (t) => {
        t.create(type, "x", { mode: 0o600 })
        set(t, "x", full)
        t.equal(get(t, "x"), full, "list")
        t.equal(t.lstat("x").perm, 0o771, "mode")
        t.that(t.ok(t.root.listxattr("x")).includes(ACCESS), "the attribute is not listed")
      },
    })),
  {
    name: "a list that says no more than a mode becomes the mode",
    run: (t) => {
      t.file("x", { mode: 0o777 })
      set(t, "x", "u::rw-,g::r--,o::---")
      t.equal(t.lstat("x").perm, 0o640, "mode")
      t.equal(get(t, "x"), "none", "list")
    },
  },
  {
    name: "a removed list leaves the mode, and can be removed again",
    run: (t) => {
      t.file("x")
      set(t, "x", full)
      t.succeeds(t.root.removexattr("x", ACCESS))
      t.equal(get(t, "x"), "none", "list")
      t.equal(t.lstat("x").perm, 0o771, "mode")
      t.succeeds(t.root.removexattr("x", ACCESS))
    },
  },
  {
    name: "chmod changes owner, mask and other, and leaves every named entry and the group",
    run: (t) => {
      t.file("x")
      set(t, "x", full)
      t.ok(t.root.chmod("x", 0o640))
      t.equal(
        get(t, "x"),
        `u::rw-,u:${MATE}:r-x,u:${STRANGER}:rwx,g::r-x,g:${CLUB}:-wx,m::r--,o::---`,
        "list",
      )
      t.equal(t.lstat("x").perm, 0o640, "mode")
      t.ok(t.root.fchmod(t.ok(t.root.open("x")), 0o777))
      t.equal(
        get(t, "x"),
        `u::rwx,u:${MATE}:r-x,u:${STRANGER}:rwx,g::r-x,g:${CLUB}:-wx,m::rwx,o::rwx`,
        "list",
      )
    },
  },
  {
    name: "a mask without named entries is kept, and chmod changes it instead of the group",
    run: (t) => {
      t.file("x")
      set(t, "x", "u::rwx,g::r-x,m::rwx,o::---")
      t.equal(t.lstat("x").perm, 0o770, "mode")
      t.ok(t.root.chmod("x", 0o700))
      t.equal(get(t, "x"), "u::rwx,g::r-x,m::---,o::---", "list")
    },
  },
  {
    name: "set-user-id, set-group-id and sticky bits stay when the owner of the right group sets a list",
    run: (t) => {
      t.file("x", { owned: "owner", mode: 0o6755 })
      t.ok(t.owner.setxattr("x", ACCESS, writeAcl(`u::rwx,u:${MATE}:r-x,g::r-x,m::r-x,o::r-x`)))
      t.equal(t.lstat("x").perm, 0o6755, "mode")
      t.ok(t.root.chown("x", 71001, STRANGER))
      t.ok(t.root.chmod("x", 0o6755))
      t.ok(t.owner.setxattr("x", ACCESS, writeAcl("u::rwx,g::r-x,o::r-x")))
      t.equal(t.lstat("x").perm, 0o4755, "mode set by an owner outside of the group")
    },
  },
]

const refusals: readonly Case[] = [
  ...Object.entries({
    "no owner": "g::r--,o::r--",
    "no group": "u::rw-,o::r--",
    "no other": "u::rw-,g::r--",
    "a named user without mask": `u::rw-,u:${MATE}:r--,g::r--,o::r--`,
    "a named group without mask": `u::rw-,g::r--,g:${CLUB}:r--,o::r--`,
    "two owners": "u::rw-,u::rw-,g::r--,o::r--",
    "two masks": "u::rw-,g::r--,m::r--,m::r--,o::r--",
    "the wrong order": "u::rw-,o::r--,g::r--",
  }).map(([name, acl]): Case => ({
    name: `a list with ${name} is EINVAL`,
    run: (t) => {
      t.dir("d")
      for (const kind of [ACCESS, DEFAULT]) t.fails("EINVAL", t.root.setxattr("d", kind, writeAcl(acl)))
      t.equal(t.lstat("d").perm, 0o755, "mode")
    },
  })),
  {
    name: "bytes that are no list: EINVAL, another version EOPNOTSUPP",
    run: (t) => {
      t.file("x")
      const good = writeAcl("u::rw-,g::r--,o::r--")
      t.fails("EINVAL", t.root.setxattr("x", ACCESS, good.subarray(0, good.length - 1)))
      t.fails("EINVAL", t.root.setxattr("x", ACCESS, good.subarray(0, 3)))
      good.writeUInt32LE(3, 0)
      t.fails("EOPNOTSUPP", t.root.setxattr("x", ACCESS, good))
    },
  },
  {
    name: "only the owner and root may set or remove a list, everyone who finds the file may read it",
    run: (t) => {
      t.dir("x", { owned: "owner", mode: 0o777 })
      const acl = writeAcl(full)
      for (const role of ["mate", "member", "stranger"] as const)
        for (const kind of [ACCESS, DEFAULT]) {
          t.fails("EPERM", t.as(role).setxattr("x", kind, acl))
          t.fails("EPERM", t.as(role).removexattr("x", kind))
        }
      t.succeeds(t.owner.setxattr("x", ACCESS, acl))
      t.succeeds(t.owner.setxattr("x", DEFAULT, acl))
      t.ok(t.root.chmod("x", 0))
      t.succeeds(t.stranger.getxattr("x", DEFAULT))
    },
  },
  {
    name: "only directories have default lists (EACCES), symbolic links none at all (EOPNOTSUPP)",
    run: (t) => {
      for (const type of fileTypes) {
        t.create(type, type)
        const error = type === "symlink" ? "EOPNOTSUPP" : type === "dir" ? "ok" : "EACCES"
        t.expect(error, t.root.lsetxattr(type, DEFAULT, writeAcl(full)))
      }
      t.fails("EOPNOTSUPP", t.root.lsetxattr("symlink", ACCESS, writeAcl(full)))
    },
  },
]

interface Decision {
  readonly acl: string
  /** what each may do, "rwx" or "-" each */
  readonly rights: Readonly<Partial<Record<Role, string>>>
}

/** Owner 71001, group TEAM: mate has it as primary, member as a supplementary group. */
const decisions: readonly Decision[] = [
  {
    acl: `u::---,u:${STRANGER}:rw-,g::r--,m::rwx,o::--x`,
    rights: { owner: "---", mate: "r--", member: "r--", stranger: "rw-" },
  },
  {
    acl: `u::rwx,u:${STRANGER}:rwx,g::rwx,m::r--,o::rwx`,
    rights: { owner: "rwx", mate: "r--", member: "r--", stranger: "r--" },
  },
  {
    acl: `u::rwx,u:${STRANGER}:---,g::---,m::rwx,o::rwx`,
    rights: { owner: "rwx", mate: "---", member: "---", stranger: "---" },
  },
  {
    acl: `u::r--,u:${MATE}:-w-,g::rwx,m::rwx,o::---`,
    rights: { owner: "r--", mate: "-w-", member: "rwx", stranger: "---" },
  },
  {
    acl: `u::---,g::---,g:${STRANGER}:r-x,m::rwx,o::rwx`,
    rights: { mate: "---", member: "---", stranger: "r-x" },
  },
  { acl: `u::---,g::r--,g:71003:-w-,m::rwx,o::---`, rights: { mate: "r--", stranger: "---" } },
  {
    acl: `u::---,g::rwx,g:${CLUB}:rwx,m::---,o::rwx`,
    rights: { mate: "---", member: "---", stranger: "rwx" },
  },
  { acl: `u::---,u:71001:rwx,g::---,m::rwx,o::---`, rights: { owner: "---", mate: "---", stranger: "---" } },
]

const deciding: readonly Case[] = decisions.map(({ acl, rights }) => ({
  name: `${acl} decides for everyone`,
  run: (t) => {
    t.file("x", { owned: "owner" })
    set(t, "x", acl)
    for (const [role, allowed] of Object.entries(rights) as [Role, string][])
      for (const [index, bit] of [R_OK, W_OK, X_OK].entries()) {
        t.expect(allowed[index] === "-" ? "EACCES" : "ok", t.as(role).access("x", bit))
        if (bit !== X_OK)
          t.expect(
            allowed[index] === "-" ? "EACCES" : "ok",
            t.as(role).open("x", bit === R_OK ? O.RDONLY : O.WRONLY),
          )
      }
  },
}))

const groupUnion: readonly Case[] = [
  {
    name: "any one of the group entries that match suffices, but not two together",
    run: (t) => {
      t.file("x", { owned: "owner" })
      set(t, "x", "u::---,g::r--,g:71003:-w-,m::rwx,o::rwx")
      t.succeeds(t.member.open("x", O.RDONLY))
      t.succeeds(t.member.open("x", O.WRONLY))
      t.fails("EACCES", t.member.open("x", O.RDWR))
      t.fails("EACCES", t.member.access("x", X_OK))
    },
  },
  {
    name: "a directory's list decides about searching, listing and making entries",
    run: (t) => {
      t.dir("d", { mode: 0o700 })
      t.file("d/x", { mode: 0o666 })
      set(t, "d", `u::rwx,u:${STRANGER}:--x,g::---,m::rwx,o::---`)
      t.succeeds(t.stranger.open("d/x"))
      t.fails("EACCES", t.stranger.open("d"))
      t.fails("EACCES", t.stranger.mkdir("d/e"))
      t.fails("EACCES", t.mate.open("d/x"))
      set(t, "d", `u::rwx,u:${STRANGER}:-wx,g::---,m::rwx,o::---`)
      t.succeeds(t.stranger.mkdir("d/e"))
      t.ok(t.root.chmod("d", 0o710))
      t.fails("EACCES", t.stranger.rmdir("d/e"))
    },
  },
]

// ---- inheritance

const dflt = `u::rwx,u:${STRANGER}:rwx,g::r-x,m::rwx,o::r-x`

interface Heir {
  readonly name: string
  readonly make: (t: Test, path: string, mode: number) => void
}

const heirs: readonly Heir[] = [
  { name: "open", make: (t, path, mode) => void t.ok(t.owner.open(path, O.CREAT | O.WRONLY, mode)) },
  { name: "mknod", make: (t, path, mode) => void t.ok(t.owner.mknod(path, mode)) },
  { name: "mkfifo", make: (t, path, mode) => void t.ok(t.owner.mkfifo(path, mode)) },
  { name: "mkdir", make: (t, path, mode) => void t.ok(t.owner.mkdir(path, mode)) },
]

function bits(perm: number): string {
  return `${perm & 4 ? "r" : "-"}${perm & 2 ? "w" : "-"}${perm & 1 ? "x" : "-"}`
}

const inheriting: readonly Case[] = heirs.flatMap(({ name, make }) => [
  {
    name: `${name}: the default list becomes the list, cut down by the mode asked for; the umask is ignored`,
    run: (t: Test) => {
      t.dir("d", { mode: 0o777 })
      set(t, "d", dflt, DEFAULT)
      t.ok(t.owner.umask(0o077))
      for (const [index, mode] of [0o777, 0o666, 0o640, 0o700, 0o000, 0o057].entries()) {
        const path = `d/${index}`
        make(t, path, mode)
        const [u, m, o] = [bits((mode >> 6) & 7), bits((mode >> 3) & 7), bits(mode & 5)]
        t.equal(
          get(t, path),
          `u::${u},u:${STRANGER}:rwx,g::r-x,m::${m},o::${o}`,
          `list, mode ${mode.toString(8)}`,
        )
        t.equal(t.lstat(path).perm, mode & 0o775, `mode, asked for ${mode.toString(8)}`)
        t.equal(get(t, path, DEFAULT), name === "mkdir" ? dflt : "none", "default list")
      }
    },
  },
  {
    name: `${name}: a default list without named entries gives a plain mode, the umask ignored`,
    run: (t: Test) => {
      t.dir("d", { mode: 0o777 })
      set(t, "d", "u::rwx,g::rwx,o::r--", DEFAULT)
      t.ok(t.owner.umask(0o077))
      make(t, "d/x", 0o666)
      t.equal(get(t, "d/x"), "none", "list")
      t.equal(t.lstat("d/x").perm, 0o664, "mode")
    },
  },
  {
    name: `${name}: without a default list the umask counts, whatever the directory's own list says`,
    run: (t: Test) => {
      t.dir("d", { mode: 0o777 })
      set(t, "d", `u::rwx,u:${STRANGER}:rwx,g::rwx,m::rwx,o::rwx`)
      t.ok(t.owner.umask(0o027))
      make(t, "d/x", 0o666)
      t.equal(get(t, "d/x"), "none", "list")
      t.equal(t.lstat("d/x").perm, 0o640, "mode")
    },
  },
])

const defaults: readonly Case[] = [
  {
    name: "a default list does not touch the directory's own mode, and is inherited from level to level",
    run: (t) => {
      t.dir("d", { mode: 0o750 })
      set(t, "d", dflt, DEFAULT)
      t.equal(t.lstat("d").perm, 0o750, "mode")
      t.equal(get(t, "d"), "none", "list")
      t.ok(t.root.mkdir("d/e", 0o777))
      t.ok(t.root.mkdir("d/e/f", 0o777))
      t.equal(get(t, "d/e/f", DEFAULT), dflt, "default list two levels down")
      t.succeeds(t.root.removexattr("d/e", DEFAULT))
      t.ok(t.root.mkdir("d/e/g", 0o755))
      t.equal(get(t, "d/e/g", DEFAULT), "none", "default list after its removal above")
    },
  },
  {
    name: "a symbolic link inherits nothing",
    run: (t) => {
      t.dir("d")
      set(t, "d", dflt, DEFAULT)
      t.ok(t.root.symlink("x", "d/s"))
      t.equal(t.lstat("d/s").perm, 0o777, "mode")
    },
  },
  {
    name: "what is renamed or linked into a directory with a default list keeps its own rights",
    run: (t) => {
      t.dir("d")
      set(t, "d", dflt, DEFAULT)
      t.file("x", { mode: 0o640 })
      t.ok(t.root.link("x", "d/y"))
      t.ok(t.root.rename("x", "d/x"))
      t.equal(get(t, "d/x"), "none", "list")
      t.equal(t.lstat("d/y").perm, 0o640, "mode")
    },
  },
  {
    name: "O_TMPFILE inherits the default list",
    run: (t) => {
      t.dir("d", { mode: 0o777 })
      set(t, "d", dflt, DEFAULT)
      t.ok(t.owner.umask(0o077))
      const fd = t.ok(t.owner.open("d", O.TMPFILE | O.RDWR, 0o640))
      t.equal(t.ok(t.owner.fstat(fd)).perm, 0o640, "mode")
      const list = readAcl(Buffer.from(t.ok(t.owner.fgetxattr(fd, ACCESS)), "latin1"))
      t.equal(list, `u::rw-,u:${STRANGER}:rwx,g::r-x,m::r--,o::---`, "list")
    },
  },
]

export const cases: readonly Case[] = [
  ...keeping,
  ...refusals,
  ...deciding,
  ...groupUnion,
  ...inheriting,
  ...defaults,
].map((item) => ({ ...item, group: "acl" }))
