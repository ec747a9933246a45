/** Whether a damaged store keeps the promise: right answers or refusals, and fsck tells of whatever is not right. */
import { Fault } from "../../clawfs/core/fault.ts"
import { fsck } from "../../clawfs/fsck/fsck.ts"
import { putUp, type Image } from "./image.ts"
import { BROKEN, ERROR, REFUSED, look, type Sight } from "./sight.ts"

export interface Verdict {
  /** Broken promises, a sentence each. */
  readonly problems: readonly string[]
  /** The answers are those of the undamaged store, all of them. */
  readonly isSame: boolean
  readonly isRefused: boolean
}

/** What is right, and where stores are put up. */
export interface Bench {
  readonly directory: string
  readonly right: Sight
}

export function judge(image: Image, { directory, right }: Bench, shortened?: string): Verdict {
  putUp(image, directory, shortened)
  const seen = look(directory, right)
  const refusal = seen.get(REFUSED)
  const { problems, unread } = refusal === undefined ? compare(right, seen) : refused(refusal)
  const isSame = problems.length === 0 && unread.size === 0
  if (isSame) return { problems, isSame, isRefused: false }
  putUp(image, directory, shortened)
  problems.push(...unnamed(directory, unread, right))
  return { problems, isSame, isRefused: refusal !== undefined }
}

function refused(refusal: string): { problems: string[]; unread: Set<string> } {
  const problems = refusal.startsWith(BROKEN) ? [`the store can't be opened: ${refusal}`] : []
  return { problems, unread: new Set([REFUSED]) }
}

/** Wrong answers, and the paths about which something could not be told. */
function compare(right: Sight, seen: Sight): { problems: string[]; unread: Set<string> } {
  const problems: string[] = []
  const unread = new Set<string>()
  for (const [what, answer] of seen) {
    if (answer.startsWith(BROKEN)) problems.push(`${what}: ${answer}`)
    if (answer === right.get(what)) continue
    if (answer === ERROR) unread.add(pathOf(what))
    else if (!answer.startsWith(BROKEN))
      problems.push(`${what}: saw ${answer}, right is ${right.get(what) ?? "nothing"}`)
  }
  for (const what of right.keys())
    if (!seen.has(what) && !isBelow(what, seen)) problems.push(`${what}: not there`)
  return { problems, unread }
}

/** The error about it, or about a directory above it, has been seen. */
function isBelow(what: string, seen: Sight): boolean {
  for (let path = pathOf(what); ; path = path.slice(0, Math.max(0, path.lastIndexOf("/")))) {
    if (seen.get(`${path === "" ? "/" : path}: lookup`) === ERROR) return true
    if (path === "" || path === "/") return false
  }
}

function pathOf(what: string): string {
  return what.slice(0, !what.includes(": ") ? undefined : what.indexOf(": "))
}

/** What fsck should have said of a store that does not answer as it did. */
function unnamed(directory: string, unread: ReadonlySet<string>, right: Sight): string[] {
  let result
  try {
    result = fsck({ directory, isOnline: false, repair: false })
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind !== "bug") return []
    return [`fsck fails: ${thrown instanceof Error ? (thrown.stack ?? "") : String(thrown)}`]
  }
  if (result.counts.errors === 0) return ["fsck finds nothing"]
  // Where the database as a whole is damaged, a look at each file tells of most that is hit (unit/fsck), not of what a search
  // by another way to the same row meets.
  if (result.findings.some(({ kind }) => kind === "database")) return []
  const named = result.findings.map(({ path }) => path)
  const isNamed = (path: string): boolean =>
    named.some((name) => name !== undefined && isAbout(name, path, right))
  const missing = [...unread].filter((path) => path.startsWith("/") && !isNamed(path))
  return missing.map(
    (path) => `fsck does not name ${path}, it says: ${result.findings.map(textOf).join("; ")}`,
  )
}

/**
 * The finding that names `name` is about `path`: the same, another name of the same file, in it, or the directory that it is in, whose names can't be told
 * then. A name that never was is a damaged one: it stands for any in its directory.
 */
function isAbout(told: string, path: string, right: Sight): boolean {
  // Without keys a name of an encrypted tree is shown as it is stored: it stands for any there, too.
  const [name = ""] = told.split("/<encrypted ", 1)
  if (name !== told) return isIn(path, name)
  const parent = name.slice(0, Math.max(1, name.lastIndexOf("/")))
  const isSame = right.get(`${path}: lookup`) === (right.get(`${name}: lookup`) ?? "")
  const isMangled = !right.has(`${name}: lookup`) && name !== "/"
  return isSame || isIn(path, name) || path === parent || (isMangled && isIn(path, parent))
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`)
}

function textOf({ kind, path, message }: { kind: string; path?: string; message: string }): string {
  return `${kind} ${path ?? "?"}: ${message}`
}
