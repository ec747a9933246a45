/** What holds for every path argument: how it is resolved, who may search it, and what is wrong with it. */
import { NAME_MAX, O, PATH_MAX } from "./abi.ts"
import { type Case, type Expected, type FileType, type Test, fileTypes } from "./check.ts"
import { type Role, roles } from "./crew.ts"
import type { PathProbe } from "./probes.ts"
import type { Posix } from "./posix.ts"

const MAX_SYMLINKS = 40
/**
 * The kernel walks a path anew when somebody mounts or unmounts anything meanwhile, and goes on counting the links (measured on ext4
 * beside a loop of mounts: a third of all paths with 40 links are ELOOP). Two walks with so many are always within the limit.
 */
const SURE_SYMLINKS = MAX_SYMLINKS / 2
const POINTERS = { NULL: 0, "address 1": 1, "an address above user space": 0x7ffffffff000 }
const everyone = Object.keys(roles) as Role[]
const users = everyone.filter((role) => role !== "root")
const nonDirectories = fileTypes.filter((type) => type !== "dir" && type !== "symlink")

/** The bits that decide for a role in a directory of owner:TEAM. */
const classShift: Record<Role, number> = { root: 0, owner: 6, mate: 3, member: 3, stranger: 0 }

/** Puts at `path` what the call needs to succeed. */
function place(t: Test, probe: PathProbe, path: string, owned: Role = "root"): void {
  const { uid, gid } = roles[owned]
  if (probe.needs === "nothing") return
  if (probe.needs === "symlink") t.create("symlink", path)
  else if (probe.needs === "dir") t.dir(path, { mode: 0o777 })
  else t.file(path, { mode: 0o666 })
  t.ok(t.root.lchown(path, uid, gid))
  probe.prepare?.(t, path)
}

/** The path succeeds if the needed object lies at `real`, which must be the same place. */
function reaches(t: Test, probe: PathProbe, path: string, real: string, by: Posix = t.root): void {
  place(t, probe, real)
  t.expect("ok", probe.call(by, path))
}

function resolution(probe: PathProbe): Case[] {
  const inDirectory = (name: string, path: string | ((t: Test) => string)): Case => ({
    name: `finds the object ${name}`,
    run: (t) => {
      t.dir("d")
      t.dir("d/e")
      t.ok(t.root.symlink("d", "s"))
      t.ok(t.root.symlink(`${t.directory}/d`, "absolute"))
      reaches(t, probe, typeof path === "string" ? path : path(t), "d/e/x")
    },
  })
  return [
    inDirectory("by a relative path", "d/e/x"),
    inDirectory("by an absolute path", (t) => `${t.directory}/d/e/x`),
    inDirectory("with doubled slashes", "d//e///x"),
    inDirectory("with . and ..", "./d/../d/e/../e/./x"),
    inDirectory("through a symbolic link to the directory", "s/e/x"),
    inDirectory("through an absolute symbolic link", "absolute/e/x"),
    inDirectory("through .. behind a symbolic link", "s/../d/e/x"),
  ]
}

function wrongPaths(probe: PathProbe): Case[] {
  const fails = (error: Expected, path: string): ((t: Test) => void) => {
    return (t) => t.expect(error, probe.call(t.root, path))
  }
  const cases: Case[] = [
    { name: "ENOENT for an empty path", run: fails("ENOENT", "") },
    { name: "ENOENT for a missing component", run: fails("ENOENT", "missing/x") },
    { name: "ENOENT for a missing component before ..", run: fails("ENOENT", "missing/../x") },
    {
      name: "ENOENT behind a dangling symbolic link",
      run: (t) => {
        t.create("symlink", "s")
        t.fails("ENOENT", probe.call(t.root, "s/x"))
      },
    },
    ...nonDirectories.map((type: FileType): Case => ({
      name: `ENOTDIR if a component is of type ${type}, also by a symbolic link`,
      run: (t) => {
        t.create(type, "file")
        t.ok(t.root.symlink("file", "s"))
        for (const path of ["file/x", "s/x", "file/.", "file/..", "file/../x"])
          t.fails("ENOTDIR", probe.call(t.root, path))
      },
    })),
    ...Object.entries(POINTERS).map(([what, pointer]): Case => ({
      name: `EFAULT for ${what}`,
      run: (t) => t.fails("EFAULT", probe.call(t.root, pointer)),
    })),
  ]
  if (probe.needs !== "nothing")
    cases.push({ name: "ENOENT if there is nothing", run: fails("ENOENT", "missing") })
  return cases
}

function lengths(probe: PathProbe): Case[] {
  const long = (length: number) => "n".repeat(length)
  return [
    {
      name: "a name of 255 bytes is allowed",
      run: (t) => reaches(t, probe, long(NAME_MAX), long(NAME_MAX)),
    },
    {
      name: "ENAMETOOLONG for a name of 256 bytes",
      run: (t) => t.fails("ENAMETOOLONG", probe.call(t.root, long(NAME_MAX + 1))),
    },
    {
      name: "a component of 255 bytes is allowed, one of 256 is ENAMETOOLONG",
      run: (t) => {
        t.dir(long(NAME_MAX))
        reaches(t, probe, `${long(NAME_MAX)}/x`, `${long(NAME_MAX)}/x`)
        t.fails("ENAMETOOLONG", probe.call(t.root, `${long(NAME_MAX + 1)}/x`))
      },
    },
    {
      name: "a path of 4095 bytes is allowed",
      run: (t) => reaches(t, probe, `${"./".repeat((PATH_MAX - 2) / 2)}x`, "x"),
    },
    {
      name: "ENAMETOOLONG for a path of 4096 bytes and more",
      run: (t) => {
        place(t, probe, "x")
        for (const length of [PATH_MAX, PATH_MAX + 1, 2 * PATH_MAX]) {
          const path = "./".repeat(length / 2).padEnd(length - 1, "/")
          t.fails("ENAMETOOLONG", probe.call(t.root, `${path}x`.slice(-length)))
        }
      },
    },
  ]
}

function loops(probe: PathProbe): Case[] {
  const cases: Case[] = [
    {
      name: "ELOOP behind symbolic links that point to themselves or each other",
      run: (t) => {
        for (const [to, at] of [
          ["self", "self"],
          ["b", "a"],
          ["a", "b"],
        ] as const)
          t.ok(t.root.symlink(to, at))
        for (const path of ["self/x", "a/x", "b/x"]) t.fails("ELOOP", probe.call(t.root, path))
      },
    },
    {
      name: `${SURE_SYMLINKS} symbolic links are followed, more than ${MAX_SYMLINKS} are ELOOP`,
      run: (t) => {
        t.dir("0")
        for (let i = 1; i <= MAX_SYMLINKS + 1; i++) t.ok(t.root.symlink(String(i - 1), String(i)))
        t.fails("ELOOP", probe.call(t.root, `${MAX_SYMLINKS + 1}/x`))
        reaches(t, probe, `${SURE_SYMLINKS}/x`, "0/x")
      },
    },
  ]
  if (probe.follows && probe.needs !== "nothing") {
    cases.push(
      {
        name: "a symbolic link as last component is followed",
        run: (t) => {
          t.ok(t.root.symlink("x", "s"))
          reaches(t, probe, "s", "x")
        },
      },
      {
        name: "ENOENT for a dangling symbolic link as last component",
        run: (t) => {
          t.create("symlink", "s")
          t.fails("ENOENT", probe.call(t.root, "s"))
        },
      },
    )
  }
  if (probe.follows)
    cases.push({
      name: "ELOOP for a loop as last component",
      run: (t) => {
        t.ok(t.root.symlink("self", "self"))
        t.fails("ELOOP", probe.call(t.root, "self"))
      },
    })
  return cases
}

function lastComponent(probe: PathProbe): Case[] {
  const { slash, needs } = probe
  const cases: Case[] = []
  if (slash !== undefined)
    cases.push({
      name: `a slash behind a new name: ${slash}`,
      run: (t) => t.expect(slash, probe.call(t.root, "x/")),
    })
  if (needs === "file")
    cases.push({
      name: "ENOTDIR for a slash behind the name of a file",
      run: (t) => {
        place(t, probe, "x")
        t.fails("ENOTDIR", probe.call(t.root, "x/"))
        t.fails("ENOTDIR", probe.call(t.root, "x/."))
      },
    })
  if (needs === "dir")
    cases.push({ name: "slashes behind a directory are allowed", run: (t) => reaches(t, probe, "x//", "x") })
  if (probe.exclusive)
    cases.push(
      ...fileTypes.map((type): Case => ({
        name: `EEXIST if there is a ${type}, which stays as it was`,
        run: (t) => {
          t.create(type, "x")
          const before = t.lstat("x")
          t.fails("EEXIST", probe.call(t.root, "x"))
          const { ino, mode, ctime, mtime } = t.lstat("x")
          t.that(
            ino === before.ino && mode === before.mode && ctime === before.ctime && mtime === before.mtime,
            "the object has changed",
          )
        },
      })),
    )
  return cases
}

function descriptors(probe: PathProbe): Case[] {
  if (!probe.hasAt) return []
  const opened = (t: Test) => {
    t.dir("d")
    return t.ok(t.root.open("d", O.RDONLY | O.DIRECTORY))
  }
  return [
    {
      name: "a relative path begins at the directory descriptor",
      run: (t) => {
        const at = opened(t)
        place(t, probe, "d/x")
        t.expect("ok", probe.call(t.root, "x", at))
      },
    },
    {
      name: "an O_PATH descriptor of a directory serves as well",
      run: (t) => {
        t.dir("d")
        place(t, probe, "d/x")
        t.expect("ok", probe.call(t.root, "x", t.ok(t.root.open("d", O.PATH))))
      },
    },
    {
      name: "the descriptor follows a renamed directory",
      run: (t) => {
        const at = opened(t)
        place(t, probe, "d/x")
        t.ok(t.root.rename("d", "elsewhere"))
        t.expect("ok", probe.call(t.root, "x", at))
      },
    },
    {
      name: "an absolute path ignores the descriptor, even a bad one",
      run: (t) => {
        place(t, probe, "x")
        t.expect("ok", probe.call(t.root, `${t.directory}/x`, 9999))
      },
    },
    { name: "EBADF for a bad descriptor", run: (t) => t.fails("EBADF", probe.call(t.root, "x", 9999)) },
    {
      name: "ENOTDIR for a descriptor of a file",
      run: (t) => {
        t.file("file")
        t.fails("ENOTDIR", probe.call(t.root, "x", t.ok(t.root.open("file"))))
      },
    },
    {
      name: "ENOENT in a directory that was removed",
      run: (t) => {
        const at = opened(t)
        t.ok(t.root.rmdir("d"))
        t.fails("ENOENT", probe.call(t.root, "x", at))
        t.fails("ENOENT", probe.call(t.root, "../d/x", at))
      },
    },
  ]
}

/** For each role in turn: the class that it belongs to lacks the bit, or is the only one that has it. */
function permissions(probe: PathProbe): Case[] {
  const actors = probe.rootOnly ? [] : users
  const cases: Case[] = actors.flatMap((role) => {
    const bits = (mode: number) => mode << classShift[role]
    return [
      {
        name: `EACCES for ${role} without search permission on any component, though everyone else may`,
        run: (t: Test) => {
          for (const parent of ["d", "d/e", "d/e/f"]) t.dir(parent, { owned: "owner", mode: 0o777 })
          place(t, probe, "d/e/f/x", role)
          for (const closed of ["d", "d/e", "d/e/f"]) {
            t.ok(t.root.chmod(closed, 0o777 & ~bits(1)))
            t.fails("EACCES", probe.call(t.as(role), "d/e/f/x"))
            t.ok(t.root.chmod(closed, 0o777))
          }
        },
      },
      {
        name: `allowed to ${role} by the one class that counts`,
        run: (t: Test) => {
          t.dir("d", { owned: "owner" })
          place(t, probe, "d/x", role)
          t.ok(t.root.chmod("d", bits(probe.writes === "parent" ? 3 : 1)))
          t.expect("ok", probe.call(t.as(role), "d/x"))
        },
      },
      ...(probe.writes === "parent"
        ? [
            {
              name: `EACCES for ${role} without write permission on the directory, though everyone else may`,
              run: (t: Test) => {
                t.dir("d", { owned: "owner" })
                place(t, probe, "d/x", role)
                t.ok(t.root.chmod("d", 0o777 & ~bits(2)))
                t.fails("EACCES", probe.call(t.as(role), "d/x"))
              },
            },
          ]
        : []),
    ]
  })
  cases.push({
    name: "root needs no permission",
    run: (t) => {
      t.dir("d", { mode: 0, owned: "owner" })
      reaches(t, probe, "d/x", "d/x")
    },
  })
  return cases
}

function readOnly(probe: PathProbe): Case {
  const expected = probe.writes === "nothing" ? "ok" : "EROFS"
  return {
    name: `on a read-only mount: ${expected}`,
    group: "mounts",
    run: (t) => {
      t.dir("d")
      place(t, probe, "d/x")
      t.becomeReadOnly()
      t.expect(expected, probe.call(t.root, "d/x"))
    },
  }
}

/** All of it, for these probes. */
export function pathCases(probes: readonly PathProbe[]): Case[] {
  return probes.flatMap((probe) =>
    [
      ...resolution(probe),
      ...wrongPaths(probe),
      ...lengths(probe),
      ...loops(probe),
      ...lastComponent(probe),
      ...descriptors(probe),
      ...permissions(probe),
      readOnly(probe),
    ].map(({ name, run, ...rest }): Case => ({
      ...rest,
      name: `${probe.name}: ${name}`,
      run: (t) => {
        probe.setup?.(t)
        run(t)
      },
    })),
  )
}
