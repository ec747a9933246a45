/**
 * One of several processes that create, rename and remove their own names in directories that all share. Since nobody
 * else uses these names, each answer is known. Ends with the names that must be there, as details of the report.
 *
 *   node build/test-programs/test/model/churn.js --process P --seconds T [--until FILE] DIRECTORY [DIRECTORY ...]
 */
import { existsSync } from "node:fs"
import { parseArgs } from "node:util"
import * as sys from "../helpers/sys.ts"
import { O, RENAME, S } from "../helpers/sys.ts"
import { Random } from "./random.ts"
import { Recorder } from "./report.ts"

const { values, positionals: directories } = parseArgs({
  allowPositionals: true,
  options: {
    process: { type: "string", default: "0" },
    seconds: { type: "string", default: "10" },
    until: { type: "string" },
  },
})

type Kind = "file" | "dir" | "symlink"

const prefix = `p${values.process}-`
const nameCount = 40
const random = new Random(Number(values.process) + 1)
const recorder = new Recorder()
/** What this process has, by path. */
const mine = new Map<string, Kind>()

const somePath = (): string => `${random.pick(directories)}/${prefix}${random.below(nameCount)}`

function expect(what: string, got: number, want: number): void {
  if (got >= 0 && want === 0) recorder.succeeded(what.split(" ")[0] ?? "")
  else if (-got !== want) recorder.fail(`${what}: got ${name(got)}, want ${name(want)}`)
}

const name = (errno: number): string => (errno === 0 || errno > 1000 ? "success" : sys.errnoName(errno))

function create(path: string): void {
  const kind = random.weighted({ file: 6, dir: 3, symlink: 2 })
  const make = {
    file: () => {
      const fd = sys.open(path, O.CREAT | O.EXCL | O.WRONLY, 0o644)
      if (fd < 0) return fd
      return Math.min(0, sys.pwrite(fd, Buffer.from(path, "latin1"), 0), sys.close(fd))
    },
    dir: () => sys.mkdir(path),
    symlink: () => sys.symlink("nowhere", path),
  }[kind]
  expect(`${kind} ${path}`, recorder.timed(kind, make), mine.has(path) ? sys.E.EEXIST : 0)
  if (!mine.has(path)) mine.set(path, kind)
}

function remove(path: string): void {
  const kind = mine.get(path)
  const isDirectory = random.chance(0.5)
  const got = recorder.timed("remove", () => (isDirectory ? sys.rmdir(path) : sys.unlink(path)))
  const wrong = isDirectory ? sys.E.ENOTDIR : sys.E.EISDIR
  const fits = kind === "dir" ? isDirectory : !isDirectory
  expect(`remove ${path}`, got, kind === undefined ? sys.E.ENOENT : fits ? 0 : wrong)
  if (fits) mine.delete(path)
}

function renameErrno(from: Kind | undefined, to: Kind | undefined, flags: number): number {
  if (from === undefined) return sys.E.ENOENT
  if (flags === RENAME.NOREPLACE) return to === undefined ? 0 : sys.E.EEXIST
  if (flags === RENAME.EXCHANGE) return to === undefined ? sys.E.ENOENT : 0
  if (to === undefined || (from === "dir") === (to === "dir")) return 0
  return from === "dir" ? sys.E.ENOTDIR : sys.E.EISDIR
}

function rename(path: string, to: string): void {
  const flags = random.pick([0, 0, RENAME.NOREPLACE, RENAME.EXCHANGE])
  const [from, onto] = [mine.get(path), mine.get(to)]
  // onto itself nothing happens
  const want =
    path === to && from !== undefined && flags !== RENAME.NOREPLACE ? 0 : renameErrno(from, onto, flags)
  const got = recorder.timed("rename", () => sys.rename(path, to, flags))
  expect(`rename ${path} ${to} flags ${flags}`, got, want)
  if (want !== 0 || path === to || from === undefined) return
  mine.set(to, from)
  if (flags === RENAME.EXCHANGE && onto !== undefined) mine.set(path, onto)
  else mine.delete(path)
}

function look(path: string): void {
  const stat = recorder.timed("stat", () => sys.lstat(path))
  const kind = mine.get(path)
  if (typeof stat === "number") {
    expect(`stat ${path}`, stat, kind === undefined ? sys.E.ENOENT : 0)
    return
  }
  const format = { [S.IFDIR]: "dir", [S.IFREG]: "file", [S.IFLNK]: "symlink" }[stat.mode & S.IFMT]
  if (format !== kind) recorder.fail(`stat ${path}: is ${format ?? "?"}, want ${kind ?? "nothing"}`)
}

/** Each own name exactly once: nobody changes them now. */
function listProblem(directory: string): string | undefined {
  const entries = recorder.timed("readdir", () => sys.readDirectory(directory))
  if (typeof entries === "number") return sys.errnoName(entries)
  recorder.succeeded("readdir")
  const listed = entries.map((entry) => entry.name).filter((each) => each.startsWith(prefix))
  const names = new Set(listed)
  if (names.size !== listed.length) return "an own name is listed twice"
  const want = [...mine.keys()]
    .filter((path) => path.startsWith(`${directory}/`))
    .map((path) => path.slice(directory.length + 1))
  const missing = want.filter((each) => !names.has(each))
  const extra = listed.filter((each) => !mine.has(`${directory}/${each}`))
  return missing.length + extra.length === 0
    ? undefined
    : `lacks ${missing.join(" ")}, has ${extra.join(" ")} too many`
}

/** A listing that is wrong for a moment only is left to own-view.ts, which does nothing but look for that. */
function list(directory: string): void {
  if (listProblem(directory) === undefined) return
  const problem = listProblem(directory)
  if (problem !== undefined) recorder.fail(`readdir ${directory}: ${problem}`)
}

const end = performance.now() + Number(values.seconds) * 1000
const isOver = () => performance.now() > end || (values.until !== undefined && existsSync(values.until))
while (!recorder.hasFailed && !(recorder.operations % 50 === 0 && isOver())) {
  const act = random.weighted({ create: 10, remove: 7, rename: 8, look: 5, list: 1 })
  if (act === "create") create(somePath())
  else if (act === "remove") remove(somePath())
  else if (act === "rename") rename(somePath(), somePath())
  else if (act === "look") look(somePath())
  else list(random.pick(directories))
}
for (const directory of directories) list(directory)
process.stdout.write(`${JSON.stringify(recorder.report([...mine.keys()].sort()))}\n`)
