/**
 * Which of the names that are gone from one directory and which of those that have come to another are one file or directory
 * that was moved. Pure.
 */
import { S_IFREG } from "./inode.ts"

/** A name and its inode, as they are compared. */
export interface Entry {
  readonly path: readonly Buffer[]
  readonly ino: number
  readonly parent: Entry | undefined
  readonly lineage: number
  /** The bits of the mode that tell the type. */
  readonly type: number
  /** Owner, mode, times, target of a link as one text. */
  readonly attributes: string
  /** When it was made: copies keep it. */
  readonly birth: string
  /** Of a directory: what tells that its names are those of its copy. */
  readonly names: string
}

/**
 * For each of `added` that was moved what it was in `removed`. In this order: the same lineage; the same name in a directory that
 * was moved; a file whose contents were written since and whose number its copy tells; one that alone on each side was made at that
 * instant. A directory comes before what is in it, in both lists.
 */
export function matchMoved(removed: readonly Entry[], added: readonly Entry[]): Map<Entry, Entry> {
  const pairs = new Map<Entry, Entry>()
  const free = new Set(removed)
  const take = (now: Entry, old: Entry | undefined): void => {
    if (old?.type !== now.type || !free.has(old) || pairs.has(now)) return
    free.delete(old)
    pairs.set(now, old)
  }
  const byLineage = grouped([...removed].reverse(), ({ lineage }) => lineage)
  /** The next name of a file that has several. */
  const nextOf = (lineage: number): Entry | undefined => {
    const group = byLineage.get(lineage) ?? []
    for (let old = group.at(-1); old !== undefined && !free.has(old); old = group.at(-1)) group.pop()
    return group.at(-1)
  }
  for (const now of added) take(now, nextOf(now.lineage))
  const byPlace = grouped(removed, (old) => placeOf(old.parent, old))
  for (const now of added) {
    const parent = now.parent === undefined ? undefined : pairs.get(now.parent)
    if (parent !== undefined) for (const old of byPlace.get(placeOf(parent, now)) ?? []) take(now, old)
  }
  const files = added.filter(({ type }) => type === S_IFREG)
  for (const now of files) take(now, nextOf(now.ino))
  const byBirth = (entries: readonly Entry[]): Map<string, Entry[]> =>
    grouped(entries, ({ birth, type }) => (type === S_IFREG ? birth : ""))
  const gone = byBirth([...free])
  for (const [birth, come] of byBirth(files.filter((now) => !pairs.has(now)))) {
    const [old, ...others] = gone.get(birth) ?? []
    const [now, ...more] = come
    if (now !== undefined && others.length + more.length === 0) take(now, old)
  }
  return pairs
}

function placeOf(parent: Entry | undefined, { path }: Entry): string {
  return `${parent?.ino ?? 0}/${path.at(-1)?.toString("latin1") ?? ""}`
}

function grouped<K>(entries: readonly Entry[], key: (entry: Entry) => K): Map<K, Entry[]> {
  const groups = new Map<K, Entry[]>()
  for (const entry of entries) {
    const group = groups.get(key(entry))
    if (group === undefined) groups.set(key(entry), [entry])
    else group.push(entry)
  }
  return groups
}
