/** Moves with a load's directory as a whole: snapshots, its key, its limits, and the cleaning of the log below it. */
import type { Draft, Move, Moves, TreeOptions } from "./draft.ts"

const MOST_SNAPSHOTS = 3
/** More than any load has. */
const AMPLE = { bytes: 1 << 30, inodes: 1000 }

export const KEY_FILES = 8

export function treeMoves({ prefix, snapshots, encrypted, limits }: TreeOptions): Moves {
  return {
    clean: [8, (draft): void => draft.add({ op: "clean" })],
    ...(snapshots === true && {
      snapshot: [24, snapshot(prefix)],
      deleteSnapshot: [12, deleteSnapshot],
      restore: [16, restore],
    }),
    ...(encrypted === true && { rekey: [20, rekey], relock: [4, relock] }),
    ...(limits === true && { meetBytes: [16, meetBytes], meetInodes: [12, meetInodes], limit: [8, limit] }),
  }
}

/** Often the next thing that a program is told is that all of this is safe. */
function perhapsSynced(draft: Draft): void {
  if (draft.random.chance(0.5)) draft.fsync("")
}

function snapshot(prefix: string): Move {
  return (draft) => {
    if (draft.snapshots.size === MOST_SNAPSHOTS) return
    const name = `${prefix}-${(draft.made += 1)}`
    draft.add({ op: "snapshot", name })
    draft.snapshots.set(name, new Map(draft.sizes))
    perhapsSynced(draft)
  }
}

const deleteSnapshot: Move = (draft) => {
  if (draft.snapshots.size === 0) return
  const name = draft.random.pick([...draft.snapshots.keys()])
  draft.add({ op: "deleteSnapshot", name })
  draft.snapshots.delete(name)
  perhapsSynced(draft)
}

const restore: Move = (draft) => {
  if (draft.snapshots.size === 0) return
  const [name, sizes] = draft.random.pick([...draft.snapshots])
  draft.add({ op: "restore", name })
  draft.sizes.clear()
  for (const [path, size] of sizes) draft.sizes.set(path, size)
  perhapsSynced(draft)
}

const rekey: Move = (draft) => {
  if (draft.key === KEY_FILES) return
  draft.add({ op: "rekey", from: draft.key, to: draft.key + 1 })
  draft.key += 1
  perhapsSynced(draft)
}

const relock: Move = (draft) => draft.add({ op: "relock", key: draft.key })

/** A limit that is passed already: nothing grows. */
const meetBytes: Move = (draft) => {
  const file = draft.anyWithBytes()
  if (file === undefined) return
  const [path, size] = file
  draft.add({ op: "limit", bytes: 1, inodes: 0 })
  draft.add({ op: "refused", path, at: size })
  perhapsSynced(draft)
  loosen(draft)
}

const meetInodes: Move = (draft) => {
  draft.add({ op: "limit", bytes: 0, inodes: 1 })
  draft.add({ op: "refused", path: "one-too-many" })
  perhapsSynced(draft)
  loosen(draft)
}

const limit: Move = (draft) => {
  draft.add({ op: "limit", ...AMPLE })
}

function loosen(draft: Draft): void {
  draft.add(draft.random.chance(0.5) ? { op: "unlimit" } : { op: "limit", ...AMPLE })
}
