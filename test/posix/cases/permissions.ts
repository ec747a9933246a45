/** Every mode for every class of user: opening, access(2), listing, searching and making. */
import { O, R_OK, W_OK, X_OK } from "../abi.ts"
import type { Case, Test } from "../check.ts"
import type { Role } from "../crew.ts"
import type { Outcome } from "../posix.ts"

const shifts: readonly [Role, number][] = [
  ["owner", 6],
  ["mate", 3],
  ["member", 3],
  ["stranger", 0],
]
const accessModes = [
  [O.RDONLY, R_OK],
  [O.WRONLY, W_OK],
  [O.RDWR, R_OK | W_OK],
] as const

function verdict(t: Test, outcome: Outcome<unknown>, isAllowed: boolean, mode: number): void {
  const got = outcome.isOk ? "ok" : outcome.error
  t.that(
    got === (isAllowed ? "ok" : "EACCES"),
    () =>
      `${outcome.toString()} with mode ${mode.toString(8)}: expected ${isAllowed ? "ok" : "EACCES"}, got ${got}`,
  )
}

/** Each set of rights for one class, with none and with all rights for everyone else. */
function modesFor(shift: number): { mode: number; bits: number }[] {
  return [0, 0o777].flatMap((others) =>
    [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => ({ mode: (others & ~(7 << shift)) | (bits << shift), bits })),
  )
}

export const cases: readonly Case[] = [
  ...shifts.map(([role, shift]): Case => ({
    name: `each of the 512 modes of a file lets ${role} open what its class allows`,
    run: (t) => {
      t.file("x", { owned: "owner" })
      for (let mode = 0; mode <= 0o777; mode++) {
        t.ok(t.root.chmod("x", mode))
        for (const [flags, needed] of accessModes) {
          const opened = t.as(role).open("x", flags)
          verdict(t, opened, ((mode >> shift) & needed) === needed, mode)
          if (opened.isOk) t.as(role).close(opened.value)
        }
      }
    },
  })),
  ...shifts.map(([role, shift]): Case => ({
    name: `access() tells ${role} the same, for every set of rights and every mode that matters`,
    run: (t) => {
      t.file("x", { owned: "owner" })
      t.dir("d", { owned: "owner" })
      for (const path of ["x", "d"])
        for (const { mode, bits } of modesFor(shift)) {
          t.ok(t.root.chmod(path, mode))
          for (let asked = 0; asked < 8; asked++)
            verdict(t, t.as(role).access(path, asked), (bits & asked) === asked, mode)
        }
    },
  })),
  {
    name: "root may read and write everything, and execute what anyone may",
    run: (t) => {
      t.file("x", { owned: "owner" })
      for (const mode of [0, 0o1, 0o10, 0o100, 0o666, 0o777]) {
        t.ok(t.root.chmod("x", mode))
        verdict(t, t.root.open("x", O.RDWR), true, mode)
        verdict(t, t.root.access("x", X_OK), (mode & 0o111) !== 0, mode)
      }
    },
  },
  ...shifts.map(([role, shift]): Case => ({
    name: `each of the 8 rights of ${role} on a directory: list, make and remove, reach`,
    run: (t) => {
      t.dir("d", { owned: "owner" })
      t.file("d/x", { mode: 0o666 })
      for (const { mode, bits } of modesFor(shift)) {
        const mayWrite = (bits & 3) === 3
        t.ok(t.root.chmod("d", mode))
        verdict(t, t.as(role).open("d", O.DIRECTORY), (bits & R_OK) !== 0, mode)
        verdict(t, t.as(role).open("d/x"), (bits & X_OK) !== 0, mode)
        verdict(t, t.as(role).stat("d/x"), (bits & X_OK) !== 0, mode)
        verdict(t, t.as(role).stat("d/."), (bits & X_OK) !== 0, mode)
        verdict(t, t.as(role).mkdir("d/n"), mayWrite, mode)
        if (mayWrite) verdict(t, t.as(role).rename("d/n", "d/m"), true, mode)
        if (mayWrite) verdict(t, t.as(role).rmdir("d/m"), true, mode)
        verdict(t, t.as(role).rename("d/x", "d/y"), mayWrite, mode)
        if (mayWrite) t.ok(t.root.rename("d/y", "d/x"))
        const moved = t.as(role).chdir("d")
        verdict(t, moved, (bits & X_OK) !== 0, mode)
        if (moved.isOk) t.ok(t.as(role).chdir(t.directory))
      }
    },
  })),
  {
    name: "a chmod counts at once for everyone, in both directions",
    run: (t) => {
      t.file("x", { owned: "owner" })
      for (let i = 0; i < 10; i++) {
        t.ok(t.owner.chmod("x", 0o604))
        t.succeeds(t.stranger.open("x"))
        t.ok(t.owner.chmod("x", 0o600))
        t.fails("EACCES", t.stranger.open("x"))
      }
    },
  },
]
