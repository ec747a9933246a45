/** Directory listings: getdents64(2) and the positions it gives out (telldir, seekdir) */
import { O, SEEK } from "../abi.ts"
import { type Case, type Test, fileTypes } from "../check.ts"
import type { Entry } from "../structs.ts"

const MANY = 1500

function opened(t: Test, path = "d"): number {
  return t.ok(t.root.open(path, O.RDONLY | O.DIRECTORY))
}

/** From the descriptor's position to the end, without . and .. */
function rest(t: Test, fd: number, length?: number): Entry[] {
  const entries: Entry[] = []
  for (;;) {
    const some = t.ok(t.root.getdents(fd, length))
    if (some.length === 0) return entries.filter(({ name }) => name !== "." && name !== "..")
    entries.push(...some)
  }
}

function names(entries: readonly Entry[]): string {
  return entries
    .map(({ name }) => name)
    .sort()
    .join("\0")
}

function many(t: Test, count = MANY): string[] {
  t.dir("d")
  const made = Array.from({ length: count }, (_, index) => `entry-${index}-${"n".repeat(index % 40)}`)
  for (const name of made) t.ok(t.root.mknod(`d/${name}`, 0o644))
  return made.sort()
}

/** Every name of `present` exactly once, and nothing but those and `possible`. */
function complete(
  t: Test,
  entries: readonly Entry[],
  present: readonly string[],
  possible: readonly string[],
): void {
  const counts = new Map<string, number>()
  for (const { name } of entries) counts.set(name, (counts.get(name) ?? 0) + 1)
  const allowed = new Set([...present, ...possible])
  t.equal(present.filter((name) => !counts.has(name)).length, 0, "entries missing")
  t.equal([...counts.values()].filter((count) => count > 1).length, 0, "entries given twice")
  t.equal([...counts.keys()].filter((name) => !allowed.has(name)).length, 0, "entries made up")
}

const listing: readonly Case[] = [
  {
    name: "every entry of a large directory is given exactly once, whatever the buffer",
    run: (t) => {
      const made = many(t)
      for (const length of [300, 1000, 4096, 32_768])
        t.equal(names(rest(t, opened(t), length)), made.join("\0"), "names")
    },
  },
  {
    name: "each entry has the inode number and type that stat tells",
    run: (t) => {
      t.dir("d")
      for (const type of fileTypes) t.create(type, `d/${type}`)
      t.file("x")
      t.ok(t.root.link("x", "d/hard-link"))
      for (const entry of rest(t, opened(t))) {
        const { ino, type } = t.lstat(`d/${entry.name}`)
        t.equal(entry.ino, ino, `inode number of ${entry.name}`)
        t.equal(entry.type, type, `type of ${entry.name}`)
      }
      const dots = t.ok(t.root.getdents(opened(t))).filter(({ name }) => name === "." || name === "..")
      t.equal(dots.length, 2, "entries . and ..")
      for (const { name, ino, type } of dots) {
        t.equal(ino, t.lstat(`d/${name}`).ino, `inode number of ${name}`)
        t.equal(type, 0o040000, `type of ${name}`)
      }
    },
  },
  {
    name: "names may have any bytes but / and NUL",
    run: (t) => {
      t.dir("d")
      const bytes = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)).filter(
        (c) => c !== "/",
      )
      const odd = [
        "\xff\xfe\xfd",
        "caf\xc3\xa9",
        "caf\xe9",
        "two\nlines",
        " ",
        "...",
        "-rf",
        "*",
        "\x7f",
        "a".repeat(255),
        "\xf0\x9f\x98\x80",
        "A",
        "e\xcc\x81",
        "\xc3\xa9",
      ]
      const made = [...new Set([...bytes.filter((c) => c !== "."), ...bytes.map((c) => `x${c}`), ...odd])]
      for (const name of made) t.ok(t.root.mknod(`d/${name}`, 0o644))
      t.equal(names(rest(t, opened(t))), made.sort().join("\0"), "names")
      for (const name of made) t.succeeds(t.root.unlink(`d/${name}`))
      t.succeeds(t.root.rmdir("d"))
    },
  },
  {
    name: "names that differ only in case or Unicode form are different",
    run: (t) => {
      const pairs = [
        ["readme", "README"],
        ["\xc3\xa9", "e\xcc\x81"],
        ["\xef\xac\x81", "fi"],
      ] as const
      for (const [a, b] of pairs) {
        t.file(a)
        t.fails("ENOENT", t.root.lstat(b))
        t.file(b)
        t.that(t.lstat(a).ino !== t.lstat(b).ino, "two names, one file")
      }
    },
  },
  {
    name: "ENOTDIR for a file, EBADF, EINVAL for a buffer that holds no entry, EFAULT for a bad one",
    run: (t) => {
      t.dir("d")
      t.file("x")
      t.fails("ENOTDIR", t.root.getdents(t.ok(t.root.open("x"))))
      t.fails("EBADF", t.root.getdents(9999))
      t.fails("EBADF", t.root.getdents(t.ok(t.root.open("d", O.PATH))))
      t.fails("EINVAL", t.root.getdents(opened(t), 10))
      t.fails("EFAULT", t.root.call("getdents64", [opened(t), 1, 4096]))
    },
  },
]

const positions: readonly Case[] = [
  {
    name: "after lseek to an entry's position the listing goes on behind that entry",
    run: (t) => {
      many(t, 400)
      const fd = opened(t)
      const all: Entry[] = []
      for (let some = t.ok(t.root.getdents(fd)); some.length > 0; some = t.ok(t.root.getdents(fd)))
        all.push(...some)
      for (let index = 0; index < all.length; index += 13) {
        t.ok(t.root.lseek(fd, all[index]?.next ?? 0n))
        const first = t.ok(t.root.getdents(fd, 400))[0]
        t.equal(first?.name, all[index + 1]?.name, `entry behind ${index}`)
      }
    },
  },
  {
    name: "a position is good in another descriptor of the directory",
    run: (t) => {
      many(t, 300)
      const fd = opened(t)
      const some = t.ok(t.root.getdents(fd, 4096))
      const left = rest(t, fd)
      const second = opened(t)
      t.ok(t.root.lseek(second, some.at(-1)?.next ?? 0n))
      t.equal(names(rest(t, second)), names(left), "names left")
    },
  },
  {
    name: "rewinding starts again and sees what has changed",
    run: (t) => {
      t.dir("d")
      const fd = opened(t)
      t.equal(names(rest(t, fd)), "", "names at first")
      t.file("d/new")
      t.ok(t.root.lseek(fd, 0))
      t.equal(names(rest(t, fd)), "new", "names after a file was made")
      t.ok(t.root.rename("d/new", "d/newer"))
      t.ok(t.root.lseek(fd, 0))
      t.equal(names(rest(t, fd)), "newer", "names after a rename")
      t.ok(t.root.unlink("d/newer"))
      t.ok(t.root.lseek(fd, 0))
      t.equal(names(rest(t, fd)), "", "names after an unlink")
      t.fails("EINVAL", t.root.lseek(fd, -1))
      t.fails("EINVAL", t.root.lseek(fd, 0, 77))
      t.equal(t.ok(t.root.lseek(fd, 0, SEEK.SET)), 0, "position")
    },
  },
]

const changing: readonly Case[] = [
  {
    name: "removing each entry as soon as it is listed removes them all",
    run: (t) => {
      const made = many(t, 800)
      const fd = opened(t)
      let removed = 0
      for (
        let some = t.ok(t.root.getdents(fd, 2048));
        some.length > 0;
        some = t.ok(t.root.getdents(fd, 2048))
      )
        for (const { name } of some.filter((entry) => !entry.name.startsWith(".")))
          if (t.succeeds(t.root.unlink(`d/${name}`))) removed++
      t.equal(removed, made.length, "entries removed")
      t.succeeds(t.root.rmdir("d"))
    },
  },
  {
    name: "entries that come and go meanwhile neither hide nor double the ones that stay",
    run: (t) => {
      const made = many(t, 600)
      const [staying, going] = [made.filter((_, i) => i % 3 !== 0), made.filter((_, i) => i % 3 === 0)]
      const coming: string[] = []
      const fd = opened(t)
      const seen: Entry[] = []
      for (
        let some = t.ok(t.root.getdents(fd, 1500));
        some.length > 0;
        some = t.ok(t.root.getdents(fd, 1500))
      ) {
        seen.push(...some)
        for (const name of going.splice(0, 8)) t.ok(t.root.unlink(`d/${name}`))
        for (let i = 0; i < 5 && coming.length < 60; i++) {
          coming.push(`new-${coming.length}`)
          t.ok(t.root.mknod(`d/${coming.at(-1)}`, 0o644))
        }
      }
      const possible = [...coming, ...made.filter((_, i) => i % 3 === 0)]
      complete(
        t,
        seen.filter(({ name }) => name !== "." && name !== ".."),
        staying,
        possible,
      )
      t.equal(
        names(rest(t, opened(t))),
        [...staying, ...going, ...coming].sort().join("\0"),
        "names afterwards",
      )
    },
  },
  {
    name: "renaming entries meanwhile keeps the others whole",
    run: (t) => {
      const made = many(t, 300)
      const moving = made.filter((_, i) => i % 4 === 0)
      const staying = made.filter((_, i) => i % 4 !== 0)
      const fd = opened(t)
      const seen: Entry[] = []
      const queue = [...moving]
      for (
        let some = t.ok(t.root.getdents(fd, 1500));
        some.length > 0;
        some = t.ok(t.root.getdents(fd, 1500))
      ) {
        seen.push(...some)
        for (const name of queue.splice(0, 6)) t.ok(t.root.rename(`d/${name}`, `d/moved-${name}`))
      }
      const possible = [...moving, ...moving.map((name) => `moved-${name}`)]
      complete(
        t,
        seen.filter(({ name }) => name !== "." && name !== ".."),
        staying,
        possible,
      )
    },
  },
  {
    name: "a change by one process is in the next listing of every other",
    run: (t) => {
      t.dir("d", { mode: 0o777 })
      const list = (by: Test["root"]) => {
        const fd = t.ok(by.open("d", O.DIRECTORY))
        return t
          .ok(by.getdents(fd))
          .map(({ name }) => name)
          .filter((name) => !name.startsWith("."))
          .sort()
          .join()
      }
      for (let i = 0; i < 5; i++) {
        t.ok(t.owner.mknod(`d/${i}`, 0o644))
        t.equal(list(t.stranger), Array.from({ length: i + 1 }, (_, n) => n).join(), "names")
      }
      t.ok(t.stranger.unlink("d/2"))
      t.equal(list(t.owner), "0,1,3,4", "names")
    },
  },
]

export const cases: readonly Case[] = [...listing, ...positions, ...changing]
