/** Brings one item to its place: makes, updates or leaves it, and never takes away what somebody else wrote. */
import { isPlaced, type FileLine } from "./ledger.ts"
import { marked, shortHash } from "./names.ts"
import type { Run } from "./run.ts"
import type { Item } from "./source.ts"
import { Displaced, Diverted, digestOf, type Digest } from "./target.ts"

export type Outcome = "made" | "updated" | "unchanged" | "conflict"

export interface Placing {
  readonly outcome: Outcome
  readonly path: string
  readonly bytes: number
  /** Of a conflict. */
  readonly why?: string
}

/** `theirs`: the source's side wins over what a user wrote, which is kept in the run's directory. */
export interface Options {
  readonly theirs: boolean
}

const MOST_NAMES = 4
const MODE_BITS = 0o7777

export async function place(run: Run, item: Item, options: Options): Promise<Placing> {
  const known = run.ledger.file(item.key)
  try {
    if (item.isSeed === true && isSown(run, item, known)) return unchanged(item)
    if (isPlaced(known)) return await again(run, item, known, options)
    return await first(run, item, options)
  } catch (thrown) {
    if (!(thrown instanceof Diverted)) throw thrown
    return conflict(run, item, item.path, thrown.message)
  }
}

/** Whether a seed is where it belongs, or was once, or somebody else's is there; one that is not in the ledger yet goes on. */
function isSown(run: Run, item: Item, known: FileLine | undefined): boolean {
  if (known !== undefined && known.state !== "removed") return known.state !== "conflict"
  const digest = run.target.digest(item.path)
  if (digest === undefined || ownerOf(run, item.path) === item.key) return false
  run.ledger.add({ key: item.key, path: item.path.join("/"), state: "same", ...digest })
  return true
}

function unchanged(item: Item): Placing {
  return { outcome: "unchanged", path: item.path.join("/"), bytes: 0 }
}

/** An item that was placed before. */
async function again(run: Run, item: Item, known: FileLine, options: Options): Promise<Placing> {
  const path = known.path.split("/")
  const isKnown =
    item.isSettled === true || (item.fingerprint !== undefined && item.fingerprint === known.source)
  if (isKnown && isUntouched(run, item, known, path))
    return { outcome: "unchanged", path: known.path, bytes: known.bytes }
  const [wanted, there] = [await digestOf(item.content()), run.target.digest(path)]
  const { bytes } = wanted
  if (there?.sha256 === wanted.sha256) {
    // The same text with another time, or other metadata.
    if (hasChanged(item, known) && !(await isDressed(run, item, path)))
      return { ...(await write(run, item, path, "made")), outcome: "updated" }
    run.ledger.add({ ...known, ...wanted, ...sourceOf(item) })
    return { outcome: "unchanged", path: known.path, bytes }
  }
  if (there?.sha256 === known.sha256) return { ...(await write(run, item, path, "made")), outcome: "updated" }
  if (options.theirs) return await replace(run, item, path, "updated")
  return {
    outcome: "conflict",
    path: known.path,
    bytes,
    why: there === undefined ? "it was removed" : "it was edited",
  }
}

/** Whether the file is as the run left it, as far as that shows from its time, or from its bytes where it has none of its own. */
function isUntouched(run: Run, item: Item, { bytes, sha256 }: FileLine, path: readonly string[]): boolean {
  if (run.target.hasTime(path, bytes, item.modified)) return true
  return run.target.digest(path)?.sha256 === sha256
}

function hasChanged({ fingerprint }: Item, { source, state }: FileLine): boolean {
  return state === "made" && fingerprint !== undefined && source !== undefined && fingerprint !== source
}

/** Whether a file has the time and the attributes of its item. */
async function isDressed(run: Run, item: Item, path: readonly string[]): Promise<boolean> {
  const { mode, attributes } = (await item.details?.()) ?? item
  const stat = run.target.stat(path)
  const hasTime = item.modified === undefined || run.target.hasTime(path, stat?.size ?? 0, item.modified)
  const hasMode = stat !== undefined && (stat.mode & MODE_BITS) === mode
  return (
    hasTime &&
    hasMode &&
    Object.entries(attributes).every(([name, value]) => run.target.attribute(path, name) === value)
  )
}

const sourceOf = ({ fingerprint }: Item): Pick<FileLine, "source"> =>
  fingerprint === undefined ? {} : { source: fingerprint }

async function first(run: Run, item: Item, options: Options): Promise<Placing> {
  let path = item.path
  for (let tries = 0; ; tries += 1) {
    const isLast = tries >= MOST_NAMES
    const stat = run.target.stat(path)
    const owner = stat?.isFile() === true ? ownerOf(run, path) : undefined
    if (stat === undefined || owner === item.key) {
      const written = await attempt(run, item, path, isLast)
      if (written !== undefined) return written
      path = displaced(item)
    } else if (isLast || (owner === undefined && !stat.isDirectory())) {
      return await foreign(run, item, path, options)
    } else {
      // Another row has the name, or it is a directory: this one gets a name of its own.
      path = stat.isDirectory() ? displaced(item) : duplicate(item)
    }
  }
}

/** Undefined where a directory on the way is a file. */
async function attempt(
  run: Run,
  item: Item,
  path: readonly string[],
  isLast: boolean,
): Promise<Placing | undefined> {
  try {
    return await write(run, item, path, "made")
  } catch (thrown) {
    if (!(thrown instanceof Displaced) || isLast) throw thrown
    return undefined
  }
}

/** The item of this run that a file is; undefined for what somebody else made. */
function ownerOf(run: Run, path: readonly string[]): string | undefined {
  if (run.target.attribute(path, "src.run") !== run.name) return undefined
  return `${run.target.attribute(path, "src.table") ?? ""}/${run.target.attribute(path, "src.pk") ?? ""}`
}

async function foreign(run: Run, item: Item, path: readonly string[], options: Options): Promise<Placing> {
  const [wanted, there] = [await digestOf(item.content()), run.target.digest(path)]
  if (there?.sha256 === wanted.sha256) {
    run.ledger.add({ key: item.key, path: path.join("/"), state: "same", ...wanted, ...sourceOf(item) })
    return { outcome: "unchanged", path: path.join("/"), bytes: wanted.bytes }
  }
  if (options.theirs && there !== undefined) return await replace(run, item, path, "made")
  return conflict(run, item, path, "something else has its name")
}

function conflict(run: Run, item: Item, path: readonly string[], why: string): Placing {
  const shown = path.join("/")
  run.ledger.add({ key: item.key, path: shown, state: "conflict", sha256: "", bytes: 0 })
  return { outcome: "conflict", path: shown, bytes: 0, why }
}

/** Where a file that the run took the place of is kept. */
export function replacedPath(run: Run, path: readonly string[]): string[] {
  return [...run.path, "replaced", shortHash(path.join("/"))]
}

async function replace(run: Run, item: Item, path: readonly string[], outcome: Outcome): Promise<Placing> {
  if (run.target.stat(path) !== undefined) {
    // The line comes first: a rollback must know what to put back.
    run.ledger.add({ key: item.key, path: path.join("/"), state: "replaced", sha256: "", bytes: 0 })
    run.target.move(path, replacedPath(run, path))
  }
  return { ...(await write(run, item, path, "replaced")), outcome }
}

async function write(
  run: Run,
  item: Item,
  path: readonly string[],
  state: "made" | "replaced",
): Promise<Placing> {
  const [, table = "", id = ""] = /^([^/]*)\/(.*)$/s.exec(item.key) ?? []
  const { original } = item
  const details = (await item.details?.()) ?? item
  const attributes = {
    ...details.attributes,
    ...{ "src.run": run.name, "src.table": table, "src.pk": id },
    ...(original === undefined ? {} : { "src.path": original }),
  }
  const file = { path, mode: details.mode, modified: item.modified, attributes }
  const digest: Digest = await run.target.write(file, item.content(), () => true)
  run.ledger.add({ key: item.key, path: path.join("/"), state, ...digest, ...sourceOf(item) })
  return { outcome: "made", path: path.join("/"), bytes: digest.bytes }
}

function duplicate(item: Item): string[] {
  const above = item.path.slice(0, -1)
  return [...above, marked(item.path.at(-1) ?? "", `dup-${shortHash(item.key).slice(0, 8)}`)]
}

function displaced(item: Item): string[] {
  return [...item.path.slice(0, 2), ".clawfs", "displaced", shortHash(item.key)]
}
