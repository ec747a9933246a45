/** The main thread's part in directories of `.search`: finds who asks, has it searched, and says what came of it. */
import { readFileSync } from "node:fs"
import { E, type Errno } from "../core/errno.ts"
import { Fault, describe, errnoOfThrown } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Found, FoundFile, Wanted } from "../fs/search-directories.ts"
import type { Caller } from "../search/service/permissions.ts"
import type { SearchHit, SearchResponse } from "../../schema/search-api.ts"
import type { Search } from "./search.ts"

/** Files in a directory of `.search`. */
const MOST_FILES = 50

/** Parameters of the serving thread's method "search.done". */
export interface SearchDone {
  readonly node: number
  readonly found: Found
}

export async function searchFor(search: Search | undefined, wanted: Wanted, log: Log): Promise<SearchDone> {
  return { node: wanted.node, found: await foundBy(search, wanted, log) }
}

async function foundBy(search: Search | undefined, wanted: Wanted, log: Log): Promise<Found> {
  // The mount is usable a moment before the search is.
  if (search === undefined) return E.EAGAIN
  const below = Buffer.from(wanted.below).toString()
  const params = { query: wanted.query, limit: MOST_FILES, ...(below === "" ? {} : { below: [below] }) }
  try {
    const answer = await search.search(params, callerOf(wanted))
    return { files: answer.results.map(fileOf), answer: textOf(answer) }
  } catch (thrown) {
    const errno = errnoFor(thrown)
    if (errno === E.EIO) log.error("a search failed", { reason: describe(thrown) })
    return errno
  }
}

function errnoFor(thrown: unknown): Errno {
  if (thrown instanceof Fault && thrown.kind === "invalid") return E.EINVAL
  if (thrown instanceof Fault && (thrown.kind === "not-found" || thrown.kind === "busy")) return E.EAGAIN
  return errnoOfThrown(thrown)
}

/** The groups that the kernel did not pass on; a process that has ended since has none but its own. */
function callerOf({ uid, gid, pid }: Wanted): Caller {
  return { uid, groups: [gid, ...groupsOf(pid)] }
}

function groupsOf(pid: number): number[] {
  try {
    const [, groups = ""] = /^Groups:\s*([\d ]*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
    return groups.split(" ").filter(Boolean).map(Number)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES") return []
    throw cause
  }
}

function fileOf({
  path,
  rawPath,
  score,
  title,
  heading,
  firstLine,
  lastLine,
  snippet,
}: SearchHit): FoundFile {
  const lines = firstLine === null ? undefined : `${firstLine}-${String(lastLine)}`
  const shown = { score: score.toFixed(4), lines, title, heading, snippet: snippet?.text }
  const attributes = Object.entries(shown).filter(([, text]) => text !== undefined && text !== "")
  return {
    path: rawPath === undefined ? Buffer.from(path) : Buffer.from(rawPath, "base64"),
    attributes: Object.fromEntries(attributes.map(([name, text]) => [`${ATTRIBUTES}${name}`, text ?? ""])),
  }
}

/** The kernel has no user.* attributes of symbolic links (xattr(7)). */
const ATTRIBUTES = "security.clawfs."

function textOf(answer: SearchResponse): string {
  return `${JSON.stringify(answer, undefined, 2)}\n`
}
