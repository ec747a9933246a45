import { AT, O } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import { type Role, CLUB, TEAM, roles } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const KEEP = -1
const ids = [0, 1, 65533, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffe]
const others: readonly Role[] = ["mate", "member", "stranger"]

const setting: readonly Case[] = fileTypes.flatMap((type) => [
  {
    name: `root gives a ${type} to anyone; -1 keeps the owner or the group`,
    run: (t) => {
      t.create(type, "x")
      for (const id of ids) {
        t.ok(t.root.lchown("x", id, 7))
        t.equal(`${t.lstat("x").uid}:${t.lstat("x").gid}`, `${id}:7`, "owner")
        t.ok(t.root.lchown("x", KEEP, id))
        t.equal(`${t.lstat("x").uid}:${t.lstat("x").gid}`, `${id}:${id}`, "owner after a change of the group")
        t.ok(t.root.lchown("x", 8, KEEP))
        t.equal(`${t.lstat("x").uid}:${t.lstat("x").gid}`, `8:${id}`, "owner after a change of the user")
        t.ok(t.root.lchown("x", KEEP, KEEP))
        t.equal(`${t.lstat("x").uid}:${t.lstat("x").gid}`, `8:${id}`, "owner after no change")
      }
    },
  },
  {
    name: `the owner may pass a ${type} to a group of their own, and to nobody else`,
    run: (t) => {
      t.create(type, "x")
      t.ok(t.root.lchown("x", 71001, 71004))
      const allowed: [number, number][] = [
        [KEEP, TEAM],
        [KEEP, CLUB],
        [71001, TEAM],
        [71001, KEEP],
        [KEEP, KEEP],
      ]
      for (const [uid, gid] of allowed) t.succeeds(t.owner.lchown("x", uid, gid))
      const forbidden: [number, number][] = [
        [71002, KEEP],
        [0, KEEP],
        [KEEP, 71004],
        [KEEP, 0],
        [71002, TEAM],
        [71001, 5],
      ]
      for (const [uid, gid] of forbidden) {
        t.fails("EPERM", t.owner.lchown("x", uid, gid))
        t.equal(`${t.lstat("x").uid}:${t.lstat("x").gid}`, `71001:${TEAM}`, "owner after the refusal")
      }
    },
  },
  {
    name: `nobody but the owner may change owner or group of a ${type}: EPERM`,
    run: (t) => {
      t.create(type, "x", { mode: 0o777 })
      t.ok(t.root.lchown("x", 71001, TEAM))
      for (const role of others) {
        const { uid, gid } = roles[role]
        for (const [u, g] of [
          [uid, KEEP],
          [KEEP, gid],
          [71001, gid],
          [uid, gid],
          [KEEP, TEAM],
        ] as const)
          t.fails("EPERM", t.as(role).lchown("x", u, g))
        t.equal(`${t.lstat("x").uid}:${t.lstat("x").gid}`, `71001:${TEAM}`, "owner after the refusals")
      }
    },
  },
])

const following: readonly Case[] = [
  {
    name: "chown follows a symbolic link, lchown does not",
    run: (t) => {
      t.file("x")
      t.ok(t.root.symlink("x", "s"))
      t.ok(t.root.chown("s", 11, 12))
      t.ok(t.root.lchown("s", 13, 14))
      t.equal(`${t.lstat("x").uid}:${t.lstat("x").gid}`, "11:12", "owner of the target")
      t.equal(`${t.lstat("s").uid}:${t.lstat("s").gid}`, "13:14", "owner of the link")
    },
  },
  {
    name: "lchown of a dangling symbolic link works",
    run: (t) => {
      t.create("symlink", "s")
      t.fails("ENOENT", t.root.chown("s", 1, 1))
      t.succeeds(t.root.lchown("s", 1, 1))
    },
  },
  {
    name: "fchownat refuses unknown flags",
    run: (t) => {
      t.file("x")
      t.fails("EINVAL", t.root.call("fchownat", [AT.FDCWD, "x", 1, 1, 0x4000]))
    },
  },
  {
    name: "fchownat AT_EMPTY_PATH changes what the descriptor names, also a symbolic link",
    run: (t) => {
      for (const type of fileTypes) {
        t.create(type, type)
        const fd = t.ok(t.root.open(type, O.PATH | O.NOFOLLOW))
        t.succeeds(t.root.call("fchownat", [fd, "", 21, 22, AT.EMPTY_PATH]))
        t.equal(`${t.lstat(type).uid}:${t.lstat(type).gid}`, "21:22", `owner of the ${type}`)
      }
    },
  },
  {
    name: "fchown works on any open descriptor, not on O_PATH or bad ones",
    run: (t) => {
      t.file("x")
      t.dir("d")
      t.succeeds(t.root.fchown(t.ok(t.root.open("x")), 31, 32))
      t.succeeds(t.root.fchown(t.ok(t.root.open("d")), 31, 32))
      for (const path of ["x", "d"])
        t.equal(`${t.lstat(path).uid}:${t.lstat(path).gid}`, "31:32", `owner of ${path}`)
      t.fails("EBADF", t.root.fchown(t.ok(t.root.open("x", O.PATH)), 1, 1))
      t.fails("EBADF", t.root.fchown(9999, 1, 1))
    },
  },
  {
    name: "fchown by someone who is not the owner is EPERM",
    run: (t) => {
      t.file("x", { owned: "owner", mode: 0o666 })
      t.fails("EPERM", t.stranger.fchown(t.ok(t.stranger.open("x", O.RDWR)), 71004, KEEP))
      t.fails("EPERM", t.mate.fchown(t.ok(t.mate.open("x", O.RDWR)), KEEP, TEAM))
    },
  },
]

export const cases: readonly Case[] = [...pathCases(probesOf("chown", "lchown")), ...setting, ...following]
