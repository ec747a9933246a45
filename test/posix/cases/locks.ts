/** flock(2) and fcntl(2) record locks, of processes (POSIX) and of open file descriptions (OFD) */
import { F, FLOCK, LOCK, O } from "../abi.ts"
import { type Case, type Test, sleep } from "../check.ts"
import type { Posix } from "../posix.ts"

const { RDLCK, WRLCK, UNLCK } = FLOCK
const { SH, EX, NB, UN } = LOCK

interface Opened {
  readonly a: Posix
  readonly b: Posix
  readonly fa: number
  readonly fb: number
}

/** One file open for both in two processes. */
function two(t: Test): Opened {
  t.file("x", { mode: 0o666, content: "content" })
  const [a, b] = [t.owner, t.stranger]
  return { a, b, fa: t.ok(a.open("x", O.RDWR)), fb: t.ok(b.open("x", O.RDWR)) }
}

const flock: readonly Case[] = [
  {
    name: "flock: shared locks go together, an exclusive one only alone",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      for (const [held, wanted, isFree] of [
        [SH, SH, true],
        [SH, EX, false],
        [EX, SH, false],
        [EX, EX, false],
      ] as const) {
        t.ok(a.flock(fa, held))
        t.expect(isFree ? "ok" : "EAGAIN", b.flock(fb, wanted | NB))
        t.ok(a.flock(fa, UN))
        t.succeeds(b.flock(fb, wanted | NB))
        t.ok(b.flock(fb, UN))
      }
    },
  },
  {
    name: "flock: a lock belongs to the open, so two opens of one process compete and a dup does not",
    run: (t) => {
      const { a, fa } = two(t)
      const [second, dup] = [t.ok(a.open("x")), t.ok(a.dup(fa))]
      t.ok(a.flock(fa, EX))
      t.fails("EAGAIN", a.flock(second, EX | NB))
      t.succeeds(a.flock(dup, EX | NB))
      t.ok(a.close(fa))
      t.fails("EAGAIN", a.flock(second, EX | NB))
      t.ok(a.close(dup))
      t.succeeds(a.flock(second, EX | NB))
    },
  },
  {
    name: "flock: a lock can be changed from one kind to the other",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      t.ok(a.flock(fa, SH))
      t.ok(b.flock(fb, SH))
      t.fails("EAGAIN", a.flock(fa, EX | NB))
      t.ok(b.flock(fb, UN))
      t.succeeds(a.flock(fa, EX | NB))
      t.succeeds(a.flock(fa, SH | NB))
      t.succeeds(b.flock(fb, SH | NB))
    },
  },
  {
    name: "flock: who waits gets the lock when it is given up",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      t.ok(a.flock(fa, EX))
      const wait = b.begin("flock", [fb, EX])
      sleep(20)
      t.ok(a.flock(fa, UN))
      t.succeeds(wait())
      t.fails("EAGAIN", a.flock(fa, SH | NB))
    },
  },
  {
    name: "flock: works on directories and read-only descriptors; EBADF and EINVAL",
    run: (t) => {
      t.dir("d")
      t.file("x")
      for (const path of ["d", "x"]) t.succeeds(t.root.flock(t.ok(t.root.open(path)), EX | NB))
      t.fails("EBADF", t.root.flock(9999, EX))
      t.fails("EINVAL", t.root.flock(t.ok(t.root.open("x")), 0))
    },
  },
  {
    name: "flock and fcntl locks do not see each other",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      t.ok(a.flock(fa, EX))
      t.succeeds(b.setLock(fb, F.SETLK, { type: WRLCK, start: 0, length: 0 }))
    },
  },
]

const commands = [
  { name: "POSIX", set: F.SETLK, get: F.GETLK },
  { name: "OFD", set: F.OFD_SETLK, get: F.OFD_GETLK },
] as const

const records: readonly Case[] = commands.flatMap(({ name, set, get }) => [
  {
    name: `${name}: overlapping ranges conflict if one of them is a write lock`,
    run: (t: Test) => {
      const { a, b, fa, fb } = two(t)
      const ranges = [
        [0, 0],
        [0, 10],
        [10, 10],
        [5, 10],
        [20, 0],
        [100, 1],
      ] as const
      const end = (length: number, start: number) => (length === 0 ? Infinity : start + length)
      for (const [start, length] of ranges)
        for (const [otherStart, otherLength] of ranges)
          for (const [held, wanted] of [
            [RDLCK, RDLCK],
            [RDLCK, WRLCK],
            [WRLCK, RDLCK],
            [WRLCK, WRLCK],
          ] as const) {
            t.ok(a.setLock(fa, set, { type: held, start, length }))
            const doOverlap = start < end(otherLength, otherStart) && otherStart < end(length, start)
            const isFree = !doOverlap || (held === RDLCK && wanted === RDLCK)
            t.expect(
              isFree ? "ok" : "EAGAIN",
              b.setLock(fb, set, { type: wanted, start: otherStart, length: otherLength }),
            )
            t.ok(a.setLock(fa, set, { type: UNLCK, start: 0, length: 0 }))
            t.ok(b.setLock(fb, set, { type: UNLCK, start: 0, length: 0 }))
          }
    },
  },
  {
    name: `${name}: unlocking the middle leaves both ends locked`,
    run: (t: Test) => {
      const { a, b, fa, fb } = two(t)
      t.ok(a.setLock(fa, set, { type: WRLCK, start: 0, length: 30 }))
      t.ok(a.setLock(fa, set, { type: UNLCK, start: 10, length: 10 }))
      t.succeeds(b.setLock(fb, set, { type: WRLCK, start: 10, length: 10 }))
      t.fails("EAGAIN", b.setLock(fb, set, { type: WRLCK, start: 9, length: 1 }))
      t.fails("EAGAIN", b.setLock(fb, set, { type: WRLCK, start: 20, length: 1 }))
    },
  },
  {
    name: `${name}: the lock in the way can be asked for`,
    run: (t: Test) => {
      const { a, b, fa, fb } = two(t)
      t.ok(a.setLock(fa, set, { type: WRLCK, start: 100, length: 50 }))
      const found = t.ok(b.getLock(fb, get, { type: RDLCK, start: 0, length: 0 }))
      t.equal(`${found.type} ${found.start}+${found.length}`, `${WRLCK} 100+50`, "lock")
      t.equal(found.pid, name === "POSIX" ? a.pid : -1, "holder")
      t.equal(
        t.ok(b.getLock(fb, get, { type: WRLCK, start: 0, length: 100 })).type,
        UNLCK,
        "type if nothing is in the way",
      )
      t.equal(
        t.ok(a.getLock(fa, get, { type: WRLCK, start: 0, length: 0 })).type,
        UNLCK,
        "type for the holder",
      )
    },
  },
  {
    name: `${name}: the descriptor must allow what is locked: EBADF; bad ranges are EINVAL`,
    run: (t: Test) => {
      t.file("x")
      const range = { start: 0, length: 1 }
      t.fails("EBADF", t.root.setLock(t.ok(t.root.open("x", O.RDONLY)), set, { type: WRLCK, ...range }))
      t.fails("EBADF", t.root.setLock(t.ok(t.root.open("x", O.WRONLY)), set, { type: RDLCK, ...range }))
      t.fails("EBADF", t.root.setLock(9999, set, { type: RDLCK, ...range }))
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.fails("EINVAL", t.root.setLock(fd, set, { type: RDLCK, start: -1, length: 1 }))
      t.fails("EINVAL", t.root.setLock(fd, set, { type: 77, ...range }))
    },
  },
])

const ownership: readonly Case[] = [
  {
    name: "POSIX: a process does not compete with itself, and closing any descriptor of the file gives up all",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      const second = t.ok(a.open("x", O.RDWR))
      t.ok(a.setLock(fa, F.SETLK, { type: WRLCK, start: 0, length: 0 }))
      t.succeeds(a.setLock(second, F.SETLK, { type: WRLCK, start: 0, length: 0 }))
      t.fails("EAGAIN", b.setLock(fb, F.SETLK, { type: WRLCK, start: 0, length: 0 }))
      t.ok(a.close(second))
      t.succeeds(b.setLock(fb, F.SETLK, { type: WRLCK, start: 0, length: 0 }))
    },
  },
  {
    name: "OFD: two opens of one process compete, and only closing the one that holds it gives a lock up",
    run: (t) => {
      const { a, fa } = two(t)
      const [second, third] = [t.ok(a.open("x", O.RDWR)), t.ok(a.open("x", O.RDWR))]
      t.ok(a.setLock(fa, F.OFD_SETLK, { type: WRLCK, start: 0, length: 0 }))
      t.fails("EAGAIN", a.setLock(second, F.OFD_SETLK, { type: WRLCK, start: 0, length: 0 }))
      t.ok(a.close(third))
      t.fails("EAGAIN", a.setLock(second, F.OFD_SETLK, { type: WRLCK, start: 0, length: 0 }))
      t.ok(a.close(fa))
      t.succeeds(a.setLock(second, F.OFD_SETLK, { type: WRLCK, start: 0, length: 0 }))
    },
  },
  {
    name: "POSIX and OFD locks compete with each other",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      t.ok(a.setLock(fa, F.SETLK, { type: WRLCK, start: 0, length: 10 }))
      t.fails("EAGAIN", b.setLock(fb, F.OFD_SETLK, { type: RDLCK, start: 5, length: 1 }))
    },
  },
  {
    name: "who waits gets the lock when it is given up; two who wait for each other: EDEADLK",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      const at = (start: number) => ({ type: WRLCK, start, length: 1 })
      t.ok(a.setLock(fa, F.SETLK, at(0)))
      t.ok(b.setLock(fb, F.SETLK, at(1)))
      const wait = b.beginLock(fb, F.SETLKW, at(0))
      sleep(30)
      t.fails("EDEADLK", a.setLock(fa, F.SETLKW, at(1)))
      t.ok(a.setLock(fa, F.SETLK, { ...at(0), type: UNLCK }))
      t.succeeds(wait())
    },
  },
  {
    name: "a lock outlives the name of the file",
    run: (t) => {
      const { a, b, fa, fb } = two(t)
      t.ok(a.setLock(fa, F.SETLK, { type: WRLCK, start: 0, length: 0 }))
      t.ok(t.root.unlink("x"))
      t.fails("EAGAIN", b.setLock(fb, F.SETLK, { type: WRLCK, start: 0, length: 0 }))
    },
  },
]

export const cases: readonly Case[] = [...flock, ...records, ...ownership]
