/**
 * One of several processes that use the same names at the same time.
 *
 *   node build/test-programs/test/model/races.js setup DIRECTORY        the sources of the races
 *   node build/test-programs/test/model/races.js winners DIRECTORY      each race must have one winner: details = wins
 *   node build/test-programs/test/model/races.js chaos DIRECTORY SEED SECONDS    only errors that a race explains
 *   node build/test-programs/test/model/races.js append DIRECTORY P     records appended to one file
 *   node build/test-programs/test/model/races.js stripes DIRECTORY P N  every Nth stripe of one file
 *   node build/test-programs/test/model/races.js stripes-check DIRECTORY
 */
import { join } from "node:path"
import * as sys from "../helpers/sys.ts"
import { E, O, RENAME } from "../helpers/sys.ts"
import { pattern, Random } from "./random.ts"
import { Recorder } from "./report.ts"

const [mode = "", directory = "", first = "0", second = "1"] = process.argv.slice(2)
const rounds = 300
const recorder = new Recorder()

/** How each race is run, and what the losers may be told. */
const races = {
  mkdir: { act: (name: string) => sys.mkdir(name), loses: [E.EEXIST] },
  create: { act: (name: string) => createExclusively(name), loses: [E.EEXIST] },
  symlink: { act: (name: string) => sys.symlink("x", name), loses: [E.EEXIST] },
  mknod: { act: (name: string) => sys.mknod(name, sys.S.IFIFO | 0o600, 0), loses: [E.EEXIST] },
  link: { act: (name: string) => sys.link(join(directory, "source"), name), loses: [E.EEXIST] },
  unlink: { act: (name: string) => sys.unlink(name), loses: [E.ENOENT] },
  rmdir: { act: (name: string) => sys.rmdir(name), loses: [E.ENOENT] },
  renameFrom: { act: (name: string) => sys.rename(name, `${name}.of-${process.pid}`), loses: [E.ENOENT] },
  renameNoReplace: {
    act: (name: string) => sys.rename(ownSource(), name, RENAME.NOREPLACE),
    loses: [E.EEXIST],
  },
  setxattr: {
    act: (name: string) => sys.lsetxattr(name, "user.winner", Buffer.from("me"), sys.XATTR.CREATE),
    loses: [E.EEXIST],
  },
} as const

const needsFile = ["unlink", "renameFrom", "setxattr"] as const

const roundName = (race: string, round: number): string => join(directory, `${race}-${round}`)

function createExclusively(name: string): number {
  const fd = sys.open(name, O.CREAT | O.EXCL | O.WRONLY, 0o600)
  return fd < 0 ? fd : sys.close(fd)
}

function ownSource(): string {
  const name = join(directory, `own-${process.pid}`)
  createExclusively(name)
  return name
}

function setup(): void {
  createExclusively(join(directory, "source"))
  for (let round = 0; round < rounds; round++) {
    for (const race of needsFile) createExclusively(roundName(race, round))
    sys.mkdir(roundName("rmdir", round))
  }
}

/** The rounds that this process won; the one ahead does the slower work, so that the others catch up. */
function winners(): Record<string, number[]> {
  const wins: Record<string, number[]> = {}
  for (const [race, { act, loses }] of Object.entries(races)) {
    const won: number[] = []
    for (let round = 0; round < rounds; round++) {
      const result = recorder.timed(race, () => act(roundName(race, round)))
      if (result >= 0) won.push(round)
      else if (!loses.some((errno) => errno === -result)) recorder.fail(`${race}: ${sys.errnoName(result)}`)
    }
    wins[race] = won
  }
  return wins
}

const chaosErrnos = {
  create: [E.EEXIST, E.ENOENT, E.ENOTDIR],
  open: [E.ENOENT, E.ENOTDIR, E.EISDIR, E.ELOOP],
  mkdir: [E.EEXIST, E.ENOENT, E.ENOTDIR],
  symlink: [E.EEXIST, E.ENOENT, E.ENOTDIR],
  link: [E.EEXIST, E.ENOENT, E.ENOTDIR, E.EPERM],
  unlink: [E.ENOENT, E.EISDIR, E.ENOTDIR],
  rmdir: [E.ENOENT, E.ENOTDIR, E.ENOTEMPTY],
  rename: [E.ENOENT, E.EEXIST, E.ENOTDIR, E.EISDIR, E.ENOTEMPTY, E.EINVAL],
  exchange: [E.ENOENT, E.ENOTDIR, E.EINVAL],
  stat: [E.ENOENT, E.ENOTDIR],
  readdir: [E.ENOENT, E.ENOTDIR],
  truncate: [E.ENOENT, E.ENOTDIR, E.EISDIR, E.EINVAL],
} as const

/** Random operations on a handful of names, two levels deep, that every process uses. */
function chaos(seed: number, seconds: number): void {
  const random = new Random(seed)
  const end = performance.now() + seconds * 1000
  const name = (): string => {
    const path = join(directory, `n${random.below(3)}`)
    return random.chance(0.5) ? path : join(path, `n${random.below(3)}`)
  }
  const acts: Record<keyof typeof chaosErrnos, () => number> = {
    create: () => createExclusively(name()),
    open: () => writeSomething(name()),
    mkdir: () => sys.mkdir(name()),
    symlink: () => sys.symlink("gone", name()),
    link: () => sys.link(name(), name()),
    unlink: () => sys.unlink(name()),
    rmdir: () => sys.rmdir(name()),
    rename: () => sys.rename(name(), name(), random.pick([0, 0, RENAME.NOREPLACE])),
    exchange: () => sys.rename(name(), name(), RENAME.EXCHANGE),
    stat: () => errnoOf(sys.lstat(name())),
    readdir: () => errnoOf(sys.readDirectory(name())),
    truncate: () => sys.truncate(name(), random.below(10_000)),
  }
  const kinds = Object.keys(acts) as (keyof typeof acts)[]
  while (performance.now() < end && !recorder.hasFailed) {
    const kind = random.pick(kinds)
    const result = recorder.timed(kind, acts[kind])
    if (result >= 0) recorder.succeeded(kind)
    else if (!chaosErrnos[kind].some((errno) => errno === -result)) {
      recorder.fail(`${kind}: ${sys.errnoName(result)}`)
    }
  }
}

const errnoOf = (result: unknown): number => (typeof result === "number" ? result : 0)

function writeSomething(path: string): number {
  const fd = sys.open(path, O.RDWR | O.NOFOLLOW)
  if (fd < 0) return fd
  return Math.min(0, sys.pwrite(fd, Buffer.alloc(100, "x"), 0), sys.close(fd))
}

const appendedRecords = 1000

/** Records of one process, each on a line of 100 bytes. */
function append(process: number): void {
  const fd = sys.open(join(directory, "appended"), O.WRONLY | O.APPEND | O.CREAT)
  for (let i = 0; i < appendedRecords; i++) {
    const line = `${process} ${i} `.padEnd(99, String.fromCharCode(97 + process))
    const got = recorder.timed("append", () => sys.write(fd, Buffer.from(`${line}\n`)))
    if (got !== 100) recorder.fail(`append: ${got}`)
  }
  sys.close(fd)
}

/** Odd sizes, so that stripes of different processes share every page, record and extent. */
const stripeSize = 1337
const stripeCount = 1200

function stripes(process: number, processes: number): void {
  const fd = sys.open(join(directory, "striped"), O.RDWR | O.CREAT)
  const own = Array.from({ length: stripeCount }, (_, i) => i).filter((i) => i % processes === process)
  for (const i of own) {
    const got = recorder.timed("pwrite", () => sys.pwrite(fd, pattern(i, stripeSize), i * stripeSize))
    if (got !== stripeSize) recorder.fail(`pwrite: ${got}`)
  }
  sys.close(fd)
  checkStripes(own)
}

function checkStripes(stripes: readonly number[]): void {
  const fd = sys.open(join(directory, "striped"), O.RDONLY)
  for (const i of stripes) {
    const data = Buffer.alloc(stripeSize)
    recorder.timed("pread", () => sys.pread(fd, data, i * stripeSize))
    if (!data.equals(pattern(i, stripeSize))) recorder.fail(`stripe ${i} is not what was written`)
  }
  sys.close(fd)
}

let details: unknown
if (mode === "setup") setup()
else if (mode === "winners") details = winners()
else if (mode === "chaos") chaos(Number(first), Number(second))
else if (mode === "append") append(Number(first))
else if (mode === "stripes") stripes(Number(first), Number(second))
else checkStripes(Array.from({ length: stripeCount }, (_, i) => i))
process.stdout.write(`${JSON.stringify(recorder.report(details))}\n`)
