/**
 * Lists a directory again and again while others change it. Names that stay ("stable-N") must each come exactly once
 * in each listing, also in one that is taken up again where it was left. (POSIX leaves open what is listed of names
 * that come and go in the meantime.)
 *
 *   node build/test-programs/test/model/scan.js fill COUNT DIRECTORY
 *   node build/test-programs/test/model/scan.js list COUNT DIRECTORY SECONDS
 */
import { join } from "node:path"
import * as sys from "../helpers/sys.ts"
import { Recorder } from "./report.ts"

const [mode = "", count = "0", directory = "", seconds = "5"] = process.argv.slice(2)
const stableCount = Number(count)
const recorder = new Recorder()

function fill(): void {
  for (let i = 0; i < stableCount; i++) {
    const fd = sys.open(join(directory, `stable-${i}`), sys.O.CREAT | sys.O.EXCL | sys.O.WRONLY)
    if (fd < 0) recorder.fail(`create: ${sys.errnoName(fd)}`)
    sys.close(fd)
  }
}

function check(entries: readonly sys.Entry[], how: string): void {
  const names = entries.map(({ name }) => name).filter((name) => name.startsWith("stable-"))
  const unique = new Set(names).size
  if (names.length !== stableCount || unique !== stableCount) {
    recorder.fail(`${how}: ${names.length} stable names, ${unique} different ones, want ${stableCount}`)
  }
}

/** Reads the first part, forgets where the descriptor stands, and goes on from the cookie of an entry. */
function resumed(fd: number): readonly sys.Entry[] | number {
  sys.lseek(fd, 0, sys.SEEK.SET)
  const start = sys.getdents(fd, 4096)
  if (typeof start === "number") return start
  const kept = start.slice(0, Math.ceil(start.length / 2))
  const cookie = kept.at(-1)?.next ?? 0n
  sys.getdents(fd, 8192)
  sys.lseek(fd, cookie, sys.SEEK.SET)
  const all = [...kept]
  for (;;) {
    const some = sys.getdents(fd, 8192)
    if (typeof some === "number") return some
    if (some.length === 0) return all
    all.push(...some)
  }
}

function list(): void {
  const end = performance.now() + Number(seconds) * 1000
  const ways: Record<string, (fd: number) => readonly sys.Entry[] | number> = {
    "small pieces": (fd) => sys.listDirectory(fd, 1024),
    "large pieces": (fd) => sys.listDirectory(fd, 131_072),
    resumed,
  }
  while (performance.now() < end && !recorder.hasFailed) {
    for (const [how, way] of Object.entries(ways)) {
      const fd = sys.open(directory, sys.O.RDONLY | sys.O.DIRECTORY)
      const entries = recorder.timed(how, () => way(fd))
      sys.close(fd)
      if (typeof entries === "number") recorder.fail(`${how}: ${sys.errnoName(entries)}`)
      else check(entries, how)
      recorder.succeeded(how)
    }
  }
}

if (mode === "fill") fill()
else list()
process.stdout.write(`${JSON.stringify(recorder.report())}\n`)
