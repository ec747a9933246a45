import { O, S } from "../abi.ts"
import type { Case, Expected, Test } from "../check.ts"
import { TEAM } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

// ---- every combination of flags, on everything there can be

const states = {
  nothing: () => undefined,
  "a file": (t) => t.file("x", { content: "content" }),
  "a directory": (t) => t.dir("x"),
  "a link to a file": (t) => {
    t.file("target", { content: "content" })
    link(t)
  },
  "a link to a directory": (t) => {
    t.dir("target")
    link(t)
  },
  "a link to nothing": (t) => link(t),
  "a link to itself": (t) => void t.ok(t.root.symlink("x", "x")),
} satisfies Record<string, (t: Test) => void>

type State = keyof typeof states
type FlagName = "CREAT" | "EXCL" | "TRUNC" | "DIRECTORY" | "NOFOLLOW" | "PATH" | "APPEND"

const flagNames: readonly FlagName[] = ["CREAT", "EXCL", "TRUNC", "DIRECTORY", "NOFOLLOW", "PATH", "APPEND"]

function link(t: Test): void {
  t.ok(t.root.symlink("target", "x"))
}

/** open(2), as a table in code. */
function expected(state: State, access: number, asked: ReadonlySet<FlagName>): Expected {
  const isPath = asked.has("PATH")
  const has = (flag: FlagName) => asked.has(flag) && (!isPath || flag === "DIRECTORY" || flag === "NOFOLLOW")
  const isNew = has("CREAT") && has("EXCL")
  if (has("CREAT") && has("DIRECTORY")) return "EINVAL"
  if (state === "nothing") return has("CREAT") ? "ok" : "ENOENT"
  if (isNew) return "EEXIST"
  const isLink = state.startsWith("a link")
  if (isLink && has("NOFOLLOW")) {
    if (has("DIRECTORY")) return "ENOTDIR"
    return isPath ? "ok" : "ELOOP"
  }
  if (state === "a link to itself") return "ELOOP"
  if (state === "a link to nothing") return has("CREAT") ? "ok" : "ENOENT"
  if (state.endsWith("directory")) {
    const isWrite = !isPath && (access !== O.RDONLY || has("TRUNC"))
    return isWrite || has("CREAT") ? "EISDIR" : "ok"
  }
  return has("DIRECTORY") ? "ENOTDIR" : "ok"
}

function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((sets, item) => [...sets, ...sets.map((set) => [...set, item])], [[]])
}

const combinations: readonly Case[] = (Object.keys(states) as State[]).flatMap((state) =>
  (["RDONLY", "WRONLY", "RDWR"] as const).map((access) => ({
    name: `O_${access} with every set of flags on ${state}`,
    run: (t) => {
      states[state](t)
      for (const asked of subsets(flagNames)) {
        const flags = asked.reduce((sum, flag) => sum | O[flag], O[access])
        const result = t.root.open("x", flags, 0o644)
        const want = expected(state, O[access], new Set(asked))
        t.that(
          (result.isOk ? "ok" : result.error) === want,
          () =>
            `O_${[access, ...asked].join("|O_")}: expected ${want}, got ${result.isOk ? "ok" : result.error}`,
        )
        if (!result.isOk) continue
        t.ok(t.root.close(result.value))
        restore(t, state, asked)
      }
    },
  })),
)

/** Takes back what a successful open created; contents truncated do not matter to the next one. */
function restore(t: Test, state: State, asked: readonly FlagName[]): void {
  if (!asked.includes("CREAT") || asked.includes("PATH")) return
  if (state === "nothing") t.ok(t.root.unlink("x"))
  if (state === "a link to nothing") t.ok(t.root.unlink("target"))
}

// ---- what the flags do

const creating: readonly Case[] = [
  {
    name: "a new file has the mode asked for without the umask, and belongs to whoever made it",
    run: (t) => {
      let count = 0
      for (const umask of [0, 0o022, 0o077, 0o151])
        for (const mode of [0, 0o151, 0o644, 0o777, 0o4755, 0o7777]) {
          t.ok(t.owner.umask(umask))
          const path = String(count++)
          t.ok(t.owner.open(path, O.CREAT | O.WRONLY, mode))
          const { mode: got, uid, gid, size, nlink } = t.lstat(path)
          t.equal(got, S.IFREG | (mode & ~umask), `${mode.toString(8)} & ~${umask.toString(8)}`)
          t.equal(`${uid}:${gid} ${size} ${nlink}`, `71001:${TEAM} 0 1`, "owner, size, links")
        }
    },
  },
  {
    name: "the creator may write to the file whatever mode it asked for",
    run: (t) => {
      const fd = t.ok(t.owner.open("x", O.CREAT | O.RDWR, 0))
      t.equal(t.ok(t.owner.write(fd, "mine")), 4, "bytes written")
      t.equal(t.ok(t.owner.pread(fd, 9, 0)), "mine", "content")
      t.fails("EACCES", t.owner.open("x"))
    },
  },
  {
    name: "O_CREAT on an existing file changes neither mode nor owner nor content",
    run: (t) => {
      t.file("x", { mode: 0o606, content: "content" })
      const before = t.lstat("x")
      t.ok(t.stranger.open("x", O.CREAT | O.RDWR, 0o777))
      const after = t.lstat("x")
      for (const field of ["ino", "mode", "uid", "gid", "size", "mtime", "ctime"] as const)
        t.equal(after[field], before[field], field)
    },
  },
  {
    name: "O_CREAT needs permission to write to the directory only if the file is new",
    run: (t) => {
      t.dir("d", { mode: 0o755 })
      t.file("d/x", { mode: 0o666 })
      t.succeeds(t.stranger.open("d/x", O.CREAT | O.RDWR, 0o644))
      t.fails("EACCES", t.stranger.open("d/new", O.CREAT | O.RDWR, 0o644))
    },
  },
  {
    name: "in a set-group-id directory a new file gets that group",
    run: (t) => {
      t.dir("d", { mode: 0o2777, owned: "owner" })
      t.ok(t.stranger.open("d/x", O.CREAT | O.WRONLY, 0o644))
      t.equal(`${t.lstat("d/x").uid}:${t.lstat("d/x").gid}`, `71004:${TEAM}`, "owner")
    },
  },
  {
    name: "set-group-id with group execution is not given to a creator outside of the directory's group",
    run: (t) => {
      t.dir("d", { mode: 0o2777, owned: "owner" })
      for (const [role, asked, got] of [
        ["stranger", 0o2755, 0o755],
        ["stranger", 0o2745, 0o2745],
        ["mate", 0o2755, 0o2755],
        ["member", 0o2755, 0o2755],
        ["root", 0o2755, 0o2755],
      ] as const) {
        const path = `d/${role}${asked}`
        t.ok(t.as(role).open(path, O.CREAT | O.WRONLY, asked))
        t.equal(t.lstat(path).perm, got, `mode ${asked.toString(8)} made by ${role}`)
      }
    },
  },
]

const truncating: readonly Case[] = [
  ...([O.WRONLY, O.RDWR, O.RDONLY] as const).map((access): Case => ({
    name: `O_TRUNC with access ${access} empties the file and keeps everything else`,
    run: (t) => {
      t.file("x", { content: "content", mode: 0o640, owned: "owner" })
      const before = t.lstat("x")
      t.tick()
      t.ok(t.owner.open("x", access | O.TRUNC))
      const after = t.lstat("x")
      t.equal(after.size, 0, "size")
      for (const field of ["ino", "mode", "uid", "gid", "nlink"] as const)
        t.equal(after[field], before[field], field)
      t.that(after.mtime > before.mtime && after.ctime > before.ctime, "mtime and ctime stayed")
    },
  })),
  {
    name: "O_TRUNC without permission to write is EACCES and empties nothing",
    run: (t) => {
      t.file("x", { content: "content", mode: 0o444 })
      t.fails("EACCES", t.stranger.open("x", O.RDONLY | O.TRUNC))
      t.fails("EACCES", t.stranger.open("x", O.WRONLY | O.TRUNC))
      t.equal(t.lstat("x").size, 7, "size")
    },
  },
  {
    name: "O_TRUNC empties the file for descriptors that were open before",
    run: (t) => {
      t.file("x", { content: "content" })
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.ok(t.root.lseek(fd, 5))
      t.ok(t.root.open("x", O.WRONLY | O.TRUNC))
      t.equal(t.ok(t.root.pread(fd, 9, 0)), "", "content")
      t.ok(t.root.write(fd, "!"))
      t.equal(t.ok(t.root.pread(fd, 9, 0)), "\0\0\0\0\0!", "content after a write at the old offset")
    },
  },
]

const appending: readonly Case[] = [
  {
    name: "O_APPEND writes at the end, whatever the offset, and reads anywhere",
    run: (t) => {
      t.file("x", { content: "one" })
      const fd = t.ok(t.root.open("x", O.RDWR | O.APPEND))
      t.ok(t.root.lseek(fd, 0))
      t.ok(t.root.write(fd, "two"))
      t.equal(t.ok(t.root.lseek(fd, 0, 1)), 6, "offset after the write")
      t.ok(t.root.pwrite(fd, "three", 0))
      t.equal(t.ok(t.root.pread(fd, 99, 0)), "onetwothree", "content (pwrite appends too, as on Linux)")
    },
  },
  {
    name: "what two processes append in turn is all there",
    run: (t) => {
      t.file("x", { mode: 0o666 })
      const [a, b] = [t.owner, t.stranger]
      const [fa, fb] = [t.ok(a.open("x", O.WRONLY | O.APPEND)), t.ok(b.open("x", O.WRONLY | O.APPEND))]
      let whole = ""
      for (let i = 0; i < 50; i++) {
        t.ok(a.write(fa, `a${i};`))
        t.ok(b.write(fb, `b${i};`))
        whole += `a${i};b${i};`
      }
      t.equal(t.ok(t.root.read(t.ok(t.root.open("x")), 4096)), whole, "content")
    },
  },
  {
    name: "O_APPEND set later by fcntl counts as well",
    run: (t) => {
      t.file("x", { content: "one" })
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.ok(t.root.call("fcntl", [fd, 4, O.RDWR | O.APPEND]))
      t.ok(t.root.write(fd, "two"))
      t.equal(t.ok(t.root.pread(fd, 99, 0)), "onetwo", "content")
    },
  },
]

export const cases: readonly Case[] = [
  ...pathCases(probesOf("open")),
  ...combinations,
  ...creating,
  ...truncating,
  ...appending,
]
