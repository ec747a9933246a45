/** Asks the daemon that serves a workspace's mount; paths are those of the workspace. */
import { SearchResponse, type SearchParams, type SearchHit } from "../../schema/search-api.ts"
import { call } from "../api/client.ts"
import { Fault } from "../core/fault.ts"

/** A directory that may lie on a ClawFS. */
export interface Searchable {
  readonly path: string
  /** The store of the mount, and where in it the directory is: "" for its root. */
  onClawfs(): { readonly store: string; readonly inside: string } | undefined
}

export type Question = Omit<SearchParams, "below">

/** What to do about a daemon that can't be asked. */
const HINTS: Readonly<Record<string, string | undefined>> = {
  "not-found": "no daemon serves the ClawFS of this directory: clawfs mount starts one, then search again",
  unsupported:
    "the daemon of this ClawFS is of a version without search: unmount it and mount it again with this one",
  denied: "only the owner of the ClawFS's store may search it: run this server as that user",
  timeout: "the ClawFS's daemon did not answer in time: try again",
}

/**
 * Searches below `directory`, a path from the workspace's own; so are the results' paths. Throws a `Fault` that says what to do
 * if the daemon can't be asked.
 */
export async function searchBelow(
  workspace: Searchable,
  directory: string,
  question: Question,
  signal: AbortSignal,
): Promise<SearchResponse> {
  const on = workspace.onClawfs()
  if (on === undefined)
    throw new Fault("not-found", `search needs a mounted ClawFS, and ${workspace.path} lies on none`)
  const below = [on.inside, directory].filter((part) => part !== "").join("/")
  const params = { ...question, ...(below === "" ? {} : { below: [below] }) }
  const answer = SearchResponse.safeParse(await ask(on.store, params, signal))
  if (!answer.success) throw new Fault("io", "the daemon's answer to search can't be understood")
  return { ...answer.data, results: answer.data.results.flatMap((result) => inside(on.inside, result)) }
}

async function ask(store: string, params: SearchParams, signal: AbortSignal): Promise<unknown> {
  try {
    return await call(store, "search", params, signal)
  } catch (thrown) {
    const hint = thrown instanceof Fault ? HINTS[thrown.kind] : undefined
    if (hint === undefined || !(thrown instanceof Fault)) throw thrown
    throw new Fault(thrown.kind, hint, { cause: thrown })
  }
}

/** With its path as the workspace has it; nothing for what lies outside. */
function inside(base: string, result: SearchHit): SearchHit[] {
  if (base === "") return [result]
  return result.path.startsWith(`${base}/`) ? [{ ...result, path: result.path.slice(base.length + 1) }] : []
}
